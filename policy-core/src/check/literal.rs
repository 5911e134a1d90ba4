//! Literals take the kind of the other side.

use crate::diagnostic::Diagnostic;
use crate::kind::Kind;
use crate::name::nearest;
use crate::syntax::ast::{Literal, LiteralKind};
use crate::value::{Decimal, IpRange, Millis, Value, parse_uuid};

/// Reads a literal as a kind; `beside` is what it stands beside, for messages.
pub(super) fn read(literal: &Literal, kind: &Kind, beside: &str) -> Result<Value, Diagnostic> {
    let wrong = |message: String| Diagnostic::error("literal", literal.span, message);
    let value = match (kind, &literal.kind) {
        (Kind::Bool, LiteralKind::Bool(b)) => Some(Value::Bool(*b)),
        (Kind::Long, LiteralKind::Integer(n)) => Some(Value::Long(*n)),
        (Kind::Decimal, LiteralKind::Decimal(d)) => Some(Value::Decimal(*d)),
        (Kind::Decimal, LiteralKind::Integer(n)) => match Decimal::from_integer(*n) {
            Some(d) => Some(Value::Decimal(d)),
            None => {
                return Err(wrong(format!("`{n}` is no Decimal: they lie within ±922337203685477.5807")));
            }
        },
        (Kind::Text, LiteralKind::Text(t)) => Some(Value::text(t)),
        (Kind::Uuid, LiteralKind::Text(t)) => match parse_uuid(t) {
            Some(uuid) => Some(Value::Uuid(uuid)),
            None => {
                return Err(wrong(format!("`{t}` is no UUID, and `{beside}` is one"))
                    .with_help("a UUID is written `67e55044-10b1-426f-9247-bb680e5fe0c8`"));
            }
        },
        (Kind::Enum(variants), LiteralKind::Text(t)) => {
            if variants.iter().any(|v| **v == **t) {
                Some(Value::text(t))
            } else {
                let list = variants.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
                return Err(wrong(format!("`{beside}` is never `{t}`")).with_help(
                    match nearest(t, variants.iter().map(|v| &**v)) {
                        Some(near) => format!("did you mean `{near}`? it is one of {list}"),
                        None => format!("it is one of {list}"),
                    },
                ));
            }
        }
        (Kind::Datetime, LiteralKind::Text(t)) => match t.parse::<Millis>() {
            Ok(time) => Some(Value::Datetime(time)),
            Err(e) => {
                return Err(wrong(format!("`{t}` is no instant, and `{beside}` is one")).with_help(e.to_string()));
            }
        },
        (Kind::Ip, LiteralKind::Text(t)) => match t.parse::<IpRange>() {
            Ok(ip) => Some(Value::Ip(ip)),
            Err(e) => {
                return Err(wrong(format!("`{t}` is no address, and `{beside}` is one")).with_help(e.to_string()));
            }
        },
        _ => None,
    };
    value.ok_or_else(|| {
        Diagnostic::error(
            "wrong-kind",
            literal.span,
            format!("`{beside}` is {kind}, and `{literal}` is {}", what(literal)),
        )
    })
}

/// What a literal is, in words.
pub(super) const fn what(literal: &Literal) -> &'static str {
    match literal.kind {
        LiteralKind::Text(_) => "a text",
        LiteralKind::Integer(_) => "a whole number",
        LiteralKind::Decimal(_) => "a number with a point",
        LiteralKind::Bool(_) => "a truth value",
    }
}
