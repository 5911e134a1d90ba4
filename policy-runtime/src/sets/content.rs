//! A set as text, and the hash of a text: what is stored, signed and sent.

use std::fmt;

use policy_core::pdp::{Baseline, SetSource};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal digits.
pub(crate) fn hash(content: &str) -> String {
    hex(&Sha256::digest(content.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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
