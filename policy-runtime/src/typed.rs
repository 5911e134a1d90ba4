//! JSON as values of the kinds that rules were checked against.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policy_core::kind::{Described, Kind, RecordType};
use policy_core::value::{IpRange, Millis, Value, parse_uuid};

use crate::json::Json;

/// Attributes by name.
pub(crate) type Fields = BTreeMap<Arc<str>, Value>;

/// A value that its kind cannot hold. Says where, and never what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch(pub(crate) String);

/// Reads a value; `None` when there is none.
pub(crate) fn read(json: &Json, kind: &Kind, path: &str) -> Result<Option<Value>, Mismatch> {
    let mismatch = || Mismatch(format!("`{path}` is not a {kind}"));
    let text = || json.as_text().ok_or_else(mismatch);
    Ok(Some(match (json, kind) {
        (Json::Null, _) => return Ok(None),
        (Json::Bool(b), Kind::Bool) => Value::Bool(*b),
        (_, Kind::Long) => Value::Long(json.as_long().ok_or_else(mismatch)?),
        (Json::Text(text), Kind::Decimal) => Value::Decimal(text.parse().map_err(|_| mismatch())?),
        (_, Kind::Decimal) => Value::Decimal(json.as_decimal().ok_or_else(mismatch)?),
        (_, Kind::Text) => Value::text(text()?),
        (_, Kind::Uuid) => Value::Uuid(parse_uuid(text()?).ok_or_else(mismatch)?),
        (_, Kind::Enum(variants)) => {
            let text = text()?;
            Value::Text(variants.iter().find(|v| &***v == text).ok_or_else(mismatch)?.clone())
        }
        (_, Kind::Datetime) => Value::Datetime(text()?.parse::<Millis>().map_err(|_| mismatch())?),
        (_, Kind::Ip) => Value::Ip(IpRange::single(text()?.parse::<IpAddr>().map_err(|_| mismatch())?)),
        (Json::List(items), Kind::Set(of)) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                all.extend(read(item, of, path)?);
            }
            Value::Set(all)
        }
        (Json::Object(_), Kind::Record(record)) => Value::Record(fields(json, record, path)?),
        (Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_), _) => {
            return Err(mismatch());
        }
    }))
}

/// Reads the declared attributes of an object; others are nobody's business.
pub(crate) fn fields(json: &Json, record: &RecordType, path: &str) -> Result<Fields, Mismatch> {
    let mut out = Fields::new();
    for field in &record.fields {
        if let Some(value) = json.get(&field.name)
            && let Some(value) = read(value, &field.ty.kind, &format!("{path}.{}", field.name))?
        {
            out.insert(Arc::clone(&field.name), value);
        }
    }
    Ok(out)
}

/// The record of a described type, if it is one.
pub(crate) fn record_of(described: Option<&Described>) -> Option<&RecordType> {
    match &described?.kind {
        Kind::Record(record) => Some(record),
        Kind::Bool
        | Kind::Long
        | Kind::Decimal
        | Kind::Text
        | Kind::Uuid
        | Kind::Enum(_)
        | Kind::Datetime
        | Kind::Ip
        | Kind::Set(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, kind: &Kind, expect: &str) {
        let read = match read(&Json::parse(json.as_bytes()).unwrap(), kind, "x") {
            Ok(Some(value)) => value.as_ref().to_string(),
            Ok(None) => "-".to_owned(),
            Err(Mismatch(why)) => why,
        };
        assert_eq!(read, expect, "{json} as {kind}");
    }

    #[test]
    fn values_are_of_their_kinds() {
        let open = Kind::Enum(["open", "sent"].map(Arc::from).into());
        check("true", &Kind::Bool, "true");
        check("\"true\"", &Kind::Bool, "`x` is not a Bool");
        check("5", &Kind::Long, "5");
        check("5.0", &Kind::Long, "`x` is not a Long");
        check("9223372036854775808", &Kind::Long, "`x` is not a Long");
        check("\"5\"", &Kind::Long, "`x` is not a Long");
        check("1.5", &Kind::Decimal, "1.5");
        check("1.55555", &Kind::Decimal, "`x` is not a Decimal");
        check("\"a\"", &Kind::Text, "'a'");
        check("5", &Kind::Text, "`x` is not a Text");
        check("null", &Kind::Text, "-");
        check("\"open\"", &open, "'open'");
        check("\"Open\"", &open, "`x` is not a Enum(open | sent)");
        check("\"no\"", &Kind::Uuid, "`x` is not a Uuid");
        check("\"yesterday\"", &Kind::Datetime, "`x` is not a Datetime");
        check("\"10.0.0.0/8\"", &Kind::Ip, "`x` is not a Ip");
        check("[\"a\", null, \"b\"]", &Kind::Set(Kind::Text.into()), "['a', 'b']");
        check("[\"a\", 5]", &Kind::Set(Kind::Text.into()), "`x` is not a Text");
        check("[]", &Kind::Text, "`x` is not a Text");
        check("{}", &Kind::Set(Kind::Text.into()), "`x` is not a Set of Text");
    }
}
