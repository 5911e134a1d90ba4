//! JSON as a verifier must read it: every member once, every number as written, nothing guessed.
//!
//! In: bytes of a token or a key set. Out: [`Json`]. Refused: a member that stands twice at any depth, a lone surrogate, a
//! number beyond 64 characters, more than 64 levels. It is a reader of its own, because `serde_json` keeps the last of two
//! equal members and reads numbers differently when some other crate of the program turns a feature on.

use std::collections::BTreeMap;

use policy_core::value::Decimal;

const MAX_DEPTH: usize = 64;
const MAX_NUMBER: usize = 64;

/// A JSON value; numbers are kept as written.
///
/// ```
/// use policy_runtime::authn::token::Json;
/// let claims = Json::parse(br#"{"sub": "u-1", "level": 3, "roles": ["user"]}"#).unwrap();
/// assert_eq!(claims.get("sub").and_then(Json::as_text), Some("u-1"));
/// assert_eq!(claims.get("level").and_then(Json::as_long), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 8259 has six kinds of value")]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

/// What is wrong with a JSON text; never holds any of it.
///
/// ```
/// use policy_runtime::authn::token::{Json, JsonError};
/// assert_eq!(Json::parse(b"{} {}"), Err(JsonError::Syntax));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not UTF-8.
    #[error("the JSON is not UTF-8")]
    NotUtf8,
    /// The text is not JSON.
    #[error("the text is not JSON")]
    Syntax,
    /// A member stands twice.
    #[error("a member stands twice")]
    Duplicate,
    /// The text is nested too deeply.
    #[error("the JSON is nested too deeply")]
    TooDeep,
    /// A number is too long.
    #[error("a number is too long")]
    NumberTooLong,
}

impl Json {
    /// Reads one JSON value and nothing after it.
    ///
    /// ```
    /// use policy_runtime::json::{Json, JsonError};
    /// assert!(Json::parse(br#"{"a": [1, 2.50]}"#).is_ok());
    /// assert_eq!(Json::parse(br#"{"sub": "a", "s\u0075b": "b"}"#), Err(JsonError::Duplicate));
    /// ```
    ///
    /// # Errors
    /// When the bytes are not one JSON value within the limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        let mut reader = Reader { rest: text };
        reader.space();
        let value = reader.value(0)?;
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { Err(JsonError::Syntax) }
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The elements of an array.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// A whole number, exactly.
    pub fn as_long(&self) -> Option<i64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// A number with at most four places, exactly.
    pub fn as_decimal(&self) -> Option<Decimal> {
        let Self::Number(text) = self else { return None };
        if text.contains('.') { text.parse().ok() } else { Decimal::from_integer(text.parse().ok()?) }
    }

    /// A number as a float; finite.
    pub fn as_f64(&self) -> Option<f64> {
        let Self::Number(text) = self else { return None };
        text.parse().ok().filter(|n: &f64| n.is_finite())
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn expect(&mut self, text: &str) -> Result<(), JsonError> {
        if self.take(text) { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        match self.rest.as_bytes().first() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.expect("null").map(|()| Json::Null),
            Some(b't') => self.expect("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Json::Bool(false)),
            _ => Err(JsonError::Syntax),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect("{")?;
        let mut members = BTreeMap::new();
        self.space();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(":")?;
            self.space();
            let value = self.value(depth + 1)?;
            if members.insert(name, value).is_some() {
                return Err(JsonError::Duplicate);
            }
            self.space();
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            self.expect(",")?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect("[")?;
        let mut items = Vec::new();
        self.space();
        if self.take("]") {
            return Ok(Json::List(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Json::List(items));
            }
            self.expect(",")?;
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let plain = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(JsonError::Syntax)?;
            let (text, rest) = self.rest.split_at_checked(plain).ok_or(JsonError::Syntax)?;
            out.push_str(text);
            self.rest = rest;
            if self.take("\"") {
                return Ok(out);
            }
            self.expect("\\")?;
            let mut chars = self.rest.chars();
            let c = chars.next().ok_or(JsonError::Syntax)?;
            self.rest = chars.as_str();
            out.push(match c {
                '"' | '\\' | '/' => c,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.escaped()?,
                _ => return Err(JsonError::Syntax),
            });
        }
    }

    fn escaped(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            self.expect("\\u")?;
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(JsonError::Syntax);
            }
            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or(JsonError::Syntax)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let (digits, rest) = self.rest.split_at_checked(4).ok_or(JsonError::Syntax)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(JsonError::Syntax);
        }
        self.rest = rest;
        u32::from_str_radix(digits, 16).map_err(|_| JsonError::Syntax)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() == self.rest.len() {
            return Err(JsonError::Syntax);
        }
        self.rest = after;
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start: &'a str = self.rest;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        } else if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(JsonError::Syntax);
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        let text = start.strip_suffix(self.rest).ok_or(JsonError::Syntax)?;
        if text.len() > MAX_NUMBER {
            return Err(JsonError::NumberTooLong);
        }
        Ok(Json::Number(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Json::Null, serde_json::Value::Null) => true,
            (Json::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Json::Number(a), serde_json::Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
            (Json::Text(a), serde_json::Value::String(b)) => a == b,
            (Json::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Json::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
            }
            _ => false,
        }
    }

    #[test]
    fn cases() {
        let good = [
            "null",
            " true ",
            "-0",
            "0.5",
            "1e9",
            "1E-3",
            "\"\"",
            r#""\ud83d\ude00\u0000""#,
            "[]",
            "{}",
            r#"{"a":{"a":1},"b":[{"a":2}]}"#,
            "9007199254740993",
            "18446744073709551615",
        ];
        for text in good {
            let ours = Json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(same(&ours, &serde_json::from_str(text).unwrap()), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let long = "1".repeat(100);
        let bad = [
            ("", JsonError::Syntax),
            ("nul", JsonError::Syntax),
            ("01", JsonError::Syntax),
            ("1.", JsonError::Syntax),
            (".5", JsonError::Syntax),
            ("+1", JsonError::Syntax),
            ("1e", JsonError::Syntax),
            ("NaN", JsonError::Syntax),
            ("'a'", JsonError::Syntax),
            ("\"a", JsonError::Syntax),
            ("\"\n\"", JsonError::Syntax),
            (r#""\ud83d""#, JsonError::Syntax),
            (r#""\ude00""#, JsonError::Syntax),
            (r#""\u12g4""#, JsonError::Syntax),
            ("[1,]", JsonError::Syntax),
            ("{\"a\":1,}", JsonError::Syntax),
            ("{a:1}", JsonError::Syntax),
            ("1 2", JsonError::Syntax),
            ("{} {}", JsonError::Syntax),
            ("\u{feff}{}", JsonError::Syntax),
            (r#"{"a":1,"a":1}"#, JsonError::Duplicate),
            (r#"{"x":[{"a":1,"\u0061":2}]}"#, JsonError::Duplicate),
            (&deep, JsonError::TooDeep),
            (&long, JsonError::NumberTooLong),
        ];
        for (text, error) in bad {
            assert_eq!(Json::parse(text.as_bytes()), Err(error), "{text:.40}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), Err(JsonError::NotUtf8));
    }

    #[test]
    fn numbers_are_exact() {
        let number = |text: &str| Json::parse(text.as_bytes()).unwrap();
        assert_eq!(number("9007199254740993").as_long(), Some(9_007_199_254_740_993));
        assert_eq!(number("9223372036854775808").as_long(), None);
        assert_eq!(number("1.0").as_long(), None);
        assert_eq!(number("1.25").as_decimal().unwrap().scaled(), 12_500);
        assert_eq!(number("3").as_decimal().unwrap().scaled(), 30_000);
        assert_eq!(number("1.23456").as_decimal(), None);
        assert_eq!(number("1e400").as_f64(), None);
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(text in r#"[\[\]{}:,"0-9a-c.eE+\-\\u ntrflsd8]{0,24}"#) {
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match (Json::parse(text.as_bytes()), theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs)),
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{error}"),
                (Err(_), Ok(_)) => prop_assert!(matches!(Json::parse(text.as_bytes()), Err(JsonError::Duplicate))),
                (Err(_), Err(_)) => {}
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Json::parse(&bytes);
        }
    }
}
