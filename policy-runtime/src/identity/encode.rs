//! Scopes, values and sets as texts of a database, and back.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use policy_core::Scope;
use policy_core::value::{Decimal, Millis, Value, parse_uuid, uuid_text};
use serde_json::{Map, Value as Json, json};

use super::{PasswordRules, StoreError};

fn spoilt(what: &str) -> StoreError {
    StoreError::Unavailable(format!("{what} in the store is not what was written"))
}

/// Reads what a scope displays as.
pub(super) fn scope(text: &str) -> Result<Scope, StoreError> {
    text.parse().map_err(|_| spoilt("a scope"))
}

pub(super) fn from_set(set: &BTreeSet<String>) -> String {
    json!(set).to_string()
}

pub(super) fn set(text: &str) -> Result<BTreeSet<String>, StoreError> {
    serde_json::from_str(text).map_err(|_| spoilt("a list"))
}

pub(super) fn from_rules(rules: &PasswordRules) -> Result<String, StoreError> {
    serde_json::to_string(rules).map_err(|error| StoreError::Invalid(error.to_string()))
}

pub(super) fn rules(text: &str) -> Result<PasswordRules, StoreError> {
    serde_json::from_str(text).map_err(|_| spoilt("rules of passwords"))
}

pub(super) fn from_attributes(attributes: &[(String, Value)]) -> String {
    let members: Map<String, Json> = attributes.iter().map(|(name, value)| (name.clone(), from_value(value))).collect();
    Json::Object(members).to_string()
}

pub(super) fn attributes(text: &str) -> Result<Vec<(String, Value)>, StoreError> {
    let bad = || spoilt("an attribute");
    let Ok(Json::Object(members)) = serde_json::from_str(text) else { return Err(bad()) };
    members.iter().map(|(name, json)| Ok((name.clone(), value(json).ok_or_else(bad)?))).collect()
}

/// A value with its kind, since JSON has fewer kinds than rules.
fn from_value(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!({"bool": b}),
        Value::Long(n) => json!({"long": n}),
        Value::Decimal(decimal) => json!({"decimal": decimal.scaled()}),
        Value::Text(text) => json!({"text": &**text}),
        Value::Uuid(uuid) => json!({"uuid": uuid_text(*uuid)}),
        Value::Datetime(at) => json!({"datetime": at.0}),
        Value::Ip(range) => json!({"ip": range.to_string()}),
        Value::Set(items) => json!({"set": items.iter().map(from_value).collect::<Vec<_>>()}),
        Value::Record(members) => {
            let members: Map<String, Json> =
                members.iter().map(|(name, value)| (name.to_string(), from_value(value))).collect();
            json!({"record": members})
        }
    }
}

fn value(json: &Json) -> Option<Value> {
    let object = json.as_object()?;
    let (kind, inner) = object.iter().next().filter(|_| object.len() == 1)?;
    Some(match kind.as_str() {
        "bool" => Value::Bool(inner.as_bool()?),
        "long" => Value::Long(inner.as_i64()?),
        "decimal" => Value::Decimal(Decimal::from_scaled(inner.as_i64()?)),
        "text" => Value::text(inner.as_str()?),
        "uuid" => Value::Uuid(parse_uuid(inner.as_str()?)?),
        "datetime" => Value::Datetime(Millis(inner.as_i64()?)),
        "ip" => Value::Ip(inner.as_str()?.parse().ok()?),
        "set" => Value::Set(inner.as_array()?.iter().map(value).collect::<Option<_>>()?),
        "record" => {
            let members = inner.as_object()?.iter();
            Value::Record(
                members.map(|(name, json)| Some((name.as_str().into(), value(json)?))).collect::<Option<_>>()?,
            )
        }
        _ => return None,
    })
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    HEXLOWER.encode(bytes)
}

pub(super) fn unhex(text: &str) -> Result<[u8; 32], StoreError> {
    HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| spoilt("a hash"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back() {
        let all = vec![
            ("a".to_owned(), Value::Bool(true)),
            ("b".to_owned(), Value::Long(i64::MIN)),
            ("c".to_owned(), Value::Decimal("-1.25".parse().unwrap())),
            ("d".to_owned(), Value::text("ä\"\u{0}")),
            ("e".to_owned(), Value::Uuid(u128::MAX - 7)),
            ("f".to_owned(), Value::Datetime(Millis(-1))),
            ("g".to_owned(), Value::Ip("10.0.0.0/8".parse().unwrap())),
            ("h".to_owned(), Value::Set(vec![Value::text("x"), Value::text("y")])),
            ("i".to_owned(), Value::Record([("k".into(), Value::Set(vec![]))].into())),
        ];
        assert_eq!(attributes(&from_attributes(&all)).unwrap(), all);
        for bad in ["", "[]", r#"{"a": 1}"#, r#"{"a": {"long": "1"}}"#, r#"{"a": {"long": 1, "text": "x"}}"#] {
            assert!(attributes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_come_back() {
        let scopes = [Scope::System, Scope::organization("a.b").unwrap(), Scope::application("a-b", "c_d").unwrap()];
        for known in scopes {
            assert_eq!(scope(&known.to_string()).unwrap(), known);
        }
        for bad in ["", "org:", "app:a", "app:a/B", "system"] {
            assert!(scope(bad).is_err(), "{bad}");
        }
        let hash = std::array::from_fn(|n| u8::try_from(n * 8).unwrap());
        assert_eq!(unhex(&hex(&hash)).unwrap(), hash);
    }
}
