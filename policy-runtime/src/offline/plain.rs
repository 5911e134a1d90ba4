//! YAML and JSON of requests and tests as plain data, bounded, with the place of what is wrong.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::json::Json;

/// How long a file of requests or of tests may be.
const BYTES: usize = 4 << 20;

/// What is wrong with a text, and where.
///
/// ```
/// use policy_runtime::offline::Hypothetical;
/// # let registry = policy_core::registry::Registry::of(&[], &[]).unwrap();
/// let wrong = Hypothetical::parse("action: Platform.createOrganisation", &registry, policy_runtime::value::Millis(0)).unwrap_err();
/// assert!(wrong.to_string().contains("did you mean `Platform.createOrganization`?"), "{wrong}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .at.map(|(line, column)| format!("{line}:{column}: ")).unwrap_or_default())]
#[non_exhaustive]
pub struct Wrong {
    /// Line and column, counted from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }
}

/// Reads a text of YAML, of which JSON is a part. Aliases are counted as what they stand for.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    if text.len() > BYTES {
        return Err(Wrong::new(format!("it has {} bytes, more than {BYTES}", text.len())));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let told = error.without_snippet().to_string();
        // Its advice is for who calls the parser.
        let end = told.find(" at line ").or_else(|| told.find(", set ")).unwrap_or(told.len());
        let message = told.get(..end).unwrap_or_default().to_owned();
        Wrong { at: error.location().map(|at| (at.line(), at.column())), message }
    })
}

/// A value as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plain(pub(super) Json);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, b: bool) -> Result<Plain, E> {
        Ok(Plain(Json::Bool(b)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Plain, E> {
        Ok(Plain(Json::Number(n.to_string())))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Plain, E> {
        Ok(Plain(Json::Number(n.to_string())))
    }

    fn visit_i128<E>(self, n: i128) -> Result<Plain, E> {
        Ok(Plain(Json::Number(n.to_string())))
    }

    fn visit_u128<E>(self, n: u128) -> Result<Plain, E> {
        Ok(Plain(Json::Number(n.to_string())))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Plain, E> {
        // `1.0` keeps its point: a decimal, no whole number.
        Ok(Plain(Json::Number(format!("{n:?}"))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
        Ok(Plain(Json::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain(Json::Null))
    }

    fn visit_none<E>(self) -> Result<Plain, E> {
        Ok(Plain(Json::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Plain, D::Error> {
        Plain::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let mut out = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            out.push(item);
        }
        Ok(Plain(Json::List(out)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Plain, A::Error> {
        let mut out = BTreeMap::new();
        while let Some((name, Plain(value))) = members.next_entry::<String, Plain>()? {
            if out.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` stands twice")));
            }
            out.insert(name, value);
        }
        Ok(Plain(Json::Object(out)))
    }
}
