//! Attributes as JSON, both ways.

use policy_core::value::Value as Known;
use serde_json::Value;

/// The kinds that JSON has; others come from a provider's claims.
pub(super) fn attribute(name: &str, value: &Value) -> Result<Known, String> {
    Ok(match value {
        Value::Bool(b) => Known::Bool(*b),
        Value::String(text) => Known::text(text),
        Value::Number(n) => Known::Long(n.as_i64().ok_or_else(|| format!("`{name}` is not a whole number in range"))?),
        Value::Array(items) => Known::Set(items.iter().map(|item| attribute(name, item)).collect::<Result<_, _>>()?),
        Value::Null | Value::Object(_) => {
            return Err(format!("`{name}` is neither text, number, truth nor a list of those"));
        }
    })
}

pub(super) fn shown(value: &Known) -> Value {
    match value {
        Known::Bool(b) => Value::from(*b),
        Known::Long(n) => Value::from(*n),
        Known::Text(text) => Value::from(&**text),
        Known::Decimal(decimal) => Value::from(decimal.to_string()),
        Known::Uuid(uuid) => Value::from(uuid::Uuid::from_u128(*uuid).to_string()),
        Known::Datetime(at) => Value::from(at.to_string()),
        Known::Ip(range) => Value::from(range.to_string()),
        Known::Set(items) => items.iter().map(shown).collect(),
        Known::Record(members) => members.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
    }
}
