//! A set as text, and the hash of a text: what is stored, signed and sent.

use data_encoding::HEXLOWER;
use policy_core::pdp::{Baseline, SetSource};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal digits.
pub(crate) fn hash(content: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(content.as_bytes()))
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn to_json(source: &SetSource) -> Value {
    let baseline = match source.baseline {
        Baseline::Shipped => "shipped",
        Baseline::Replaced => "replaced",
    };
    serde_json::json!({ "baseline": baseline, "cedar": source.cedar, "rules": source.rules })
}

pub(crate) fn of_json(value: &Value) -> Option<SetSource> {
    let entries = |name: &str| serde_json::from_value(value.get(name)?.clone()).ok();
    let baseline = match value.get("baseline")?.as_str()? {
        "shipped" => Baseline::Shipped,
        "replaced" => Baseline::Replaced,
        _ => return None,
    };
    Some(SetSource { baseline, cedar: entries("cedar")?, rules: entries("rules")? })
}
