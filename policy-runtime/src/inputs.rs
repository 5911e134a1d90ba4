//! What a decision was made about, as text that it can be made from again.
//!
//! In: a request. Out: JSON in the form in which supposed requests are written (`docs/policy-files.md`), with what it withholds:
//! `withheld` names secrets, and what has no value that could be written. Absent: whether it may be kept, and where.

use std::fmt::Write as _;

use policy_core::ir::Root;
use policy_core::kind::Kind;
use policy_core::participant::Caller;
use policy_core::registry::ActionEntry;
use policy_core::value::{Record as _, ValueRef};
use policy_core::{Request, participant};

/// The longest text that is kept.
const LONGEST: usize = 16 * 1024;

/// The text; `None` when it would be too long.
pub(crate) fn of(request: &Request<'_>, entry: &ActionEntry) -> Option<String> {
    let mut out = Writer::default();
    out.open("{");
    out.member("action", ValueRef::Text(&entry.name.to_string()));
    out.member("scope", ValueRef::Text(&request.scope.to_string()));
    who(&mut out, request, entry);
    environment(&mut out, request, entry);
    if let Some(resource) = request.resource {
        out.name("resource");
        out.open("{");
        out.member("id", ValueRef::Text(resource.id));
        out.name("attributes");
        out.record("resource.attributes", &of_root(entry, &Root::Resource), &|visit| {
            resource.attributes.each_field(visit);
        });
        out.close("}");
    }
    out.name("arguments");
    out.open("{");
    for ((name, ty), value) in entry.params.iter().zip(request.args) {
        // What has no kind no rule can read.
        if let Some(ty) = ty {
            out.kept(&format!("arguments.{name}"), name, *value, Some((ty.kind.clone(), false)));
        }
    }
    out.close("}");
    let withheld = std::mem::take(&mut out.withheld);
    out.name("withheld");
    out.open("[");
    for path in &withheld {
        out.comma();
        out.value(ValueRef::Text(path));
    }
    out.close("]");
    out.close("}");
    (out.text.len() <= LONGEST).then_some(out.text)
}

fn who(out: &mut Writer, request: &Request<'_>, entry: &ActionEntry) {
    let caller = request.participant;
    out.name("participant");
    out.open("{");
    out.member("id", ValueRef::Text(caller.id()));
    out.member("scope", ValueRef::Text(&caller.scope().to_string()));
    let roles: Vec<_> = caller.roles().to_vec();
    out.member("roles", ValueRef::Set(&roles));
    out.member("mfa", ValueRef::Bool(caller.mfa()));
    out.member("authType", ValueRef::Text(caller.auth_type()));
    let texts = [
        ("email", caller.email()),
        ("displayName", caller.display_name()),
        ("tenant", caller.tenant()),
        ("subject", caller.subject()),
    ];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        out.member(name, ValueRef::Text(text));
    }
    out.name("attributes");
    let own = |visit: &mut dyn FnMut(&str, ValueRef<'_>)| {
        Caller::from(caller).each_field(&mut |name, value| {
            if participant::BUILT_IN.field(name).is_none() {
                visit(name, value);
            }
        });
    };
    out.record("participant.attributes", &of_root(entry, &Root::Participant), &own);
    out.close("}");
}

fn environment(out: &mut Writer, request: &Request<'_>, entry: &ActionEntry) {
    out.name("context");
    out.record("context", &of_root(entry, &Root::Context), &|visit| request.context.each_field(visit));
}

/// What is known of an attribute: its kind, and whether it is a secret.
type Declared = (Kind, bool);

/// The attributes of a root: those that are declared, and those whose kind the program's rules say.
fn of_root<'e>(entry: &'e ActionEntry, wanted: &Root) -> impl Fn(&str) -> Option<Declared> + use<'e> {
    let root = entry.env.roots.iter().find(|root| root.root == *wanted);
    move |name| {
        let declared = root.and_then(|root| root.ty.as_ref()).and_then(|ty| of_kind(&ty.kind, name));
        declared.or_else(|| Some((entry.env.inferred.get(&(root?.name.clone(), name.into()))?.clone(), false)))
    }
}

fn of_kind(kind: &Kind, name: &str) -> Option<Declared> {
    let Kind::Record(record) = kind else { return None };
    record.field(name).map(|(_, field)| (field.ty.kind.clone(), field.secret))
}

fn has_secret(kind: &Kind) -> bool {
    match kind {
        Kind::Record(record) => record.fields.iter().any(|field| field.secret || has_secret(&field.ty.kind)),
        Kind::Set(of) => has_secret(of),
        Kind::Bool
        | Kind::Long
        | Kind::Decimal
        | Kind::Text
        | Kind::Uuid
        | Kind::Enum(_)
        | Kind::Datetime
        | Kind::Ip => false,
    }
}

type Visit<'v> = dyn Fn(&mut dyn FnMut(&str, ValueRef<'_>)) + 'v;

/// Writes JSON in which numbers keep all their digits.
#[derive(Default)]
struct Writer {
    text: String,
    withheld: Vec<String>,
    /// Whether nothing stands in front in the present list or object.
    first: bool,
}

impl Writer {
    fn open(&mut self, bracket: &str) {
        self.text.push_str(bracket);
        self.first = true;
    }

    fn close(&mut self, bracket: &str) {
        self.text.push_str(bracket);
        self.first = false;
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.value(ValueRef::Text(name));
        self.text.push(':');
    }

    fn member(&mut self, name: &str, value: ValueRef<'_>) {
        self.name(name);
        self.value(value);
    }

    /// A member, if it may be kept; if not, it is named.
    fn kept(&mut self, path: &str, name: &str, value: ValueRef<'_>, declared: Option<Declared>) {
        match (value, declared) {
            (ValueRef::Absent, _) => {}
            (_, _) if self.text.len() > LONGEST => {}
            (_, Some((_, true))) => self.withheld.push(path.to_owned()),
            (ValueRef::Record(of), Some((kind, _))) => {
                self.name(name);
                self.record(path, &|name| of_kind(&kind, name), &|visit| of.each_field(visit));
            }
            (value, declared) => {
                let kind = declared.map(|(kind, _)| kind);
                if !kind.as_ref().is_some_and(has_secret) && can_be_written(value, kind.is_some()) {
                    self.member(name, value);
                } else {
                    self.withheld.push(path.to_owned());
                }
            }
        }
    }

    fn record(&mut self, path: &str, declared: &dyn Fn(&str) -> Option<Declared>, each: &Visit<'_>) {
        self.open("{");
        each(&mut |name, value| self.kept(&format!("{path}.{name}"), name, value, declared(name)));
        self.close("}");
    }

    fn value(&mut self, value: ValueRef<'_>) {
        // Writing to a `String` cannot fail.
        let _ = match value {
            ValueRef::Absent | ValueRef::Unusable(_) => self.text.write_str("null"),
            ValueRef::Bool(b) => write!(self.text, "{b}"),
            ValueRef::Long(n) => write!(self.text, "{n}"),
            ValueRef::Decimal(decimal) => write!(self.text, "{decimal}"),
            ValueRef::Text(text) => write!(self.text, "{}", serde_json::Value::from(text)),
            ValueRef::Char(c) => write!(self.text, "{}", serde_json::Value::from(c.to_string())),
            ValueRef::Uuid(uuid) => write!(self.text, "\"{}\"", uuid::Uuid::from_u128(uuid)),
            ValueRef::Datetime(at) => write!(self.text, "\"{at}\""),
            ValueRef::Ip(range) => write!(self.text, "\"{range}\""),
            ValueRef::Set(items) => {
                self.open("[");
                items.each(&mut |item| {
                    self.comma();
                    self.value(item);
                    true
                });
                self.close("]");
                Ok(())
            }
            ValueRef::Record(of) => {
                self.open("{");
                of.each_field(&mut |name, value| self.member(name, value));
                self.close("}");
                Ok(())
            }
        };
    }
}

/// Whether a value is read again from what is written of it. Where its kind is not declared, what is written must say it.
fn can_be_written(value: ValueRef<'_>, declared: bool) -> bool {
    match value {
        ValueRef::Unusable(_) => false,
        ValueRef::Absent | ValueRef::Bool(_) | ValueRef::Long(_) | ValueRef::Text(_) => true,
        ValueRef::Ip(range) => declared && range.is_single(),
        ValueRef::Set(items) => {
            let mut all = true;
            items.each(&mut |item| {
                all = can_be_written(item, declared);
                all
            });
            all
        }
        ValueRef::Decimal(_) | ValueRef::Char(_) | ValueRef::Uuid(_) | ValueRef::Datetime(_) | ValueRef::Record(_) => {
            declared
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use policy_core::kind::{Described, Field, RecordType};
    use policy_core::value::{Decimal, Value};

    use super::*;

    #[test]
    fn secrets_and_what_cannot_be_written_are_named_and_left_out() {
        let field = |name: &str, kind: Kind, secret: bool| Field {
            name: name.into(),
            rust_name: name.into(),
            ty: Described::optional(kind),
            secret,
        };
        let card = RecordType { name: "Card".into(), fields: [field("number", Kind::Text, true)].into() };
        let kind = Kind::Record(Arc::new(RecordType {
            name: "Order".into(),
            fields: [
                field("amount", Kind::Long, false),
                field("price", Kind::Decimal, false),
                field("pin", Kind::Text, true),
                field("card", Kind::Record(Arc::new(card.clone())), false),
                field("cards", Kind::Set(Arc::new(Kind::Record(Arc::new(card)))), false),
            ]
            .into(),
        }));
        let of = |all: Vec<(&str, Value)>| {
            Value::Record(all.into_iter().map(|(name, value)| (Arc::from(name), value)).collect::<BTreeMap<_, _>>())
        };
        let order = of(vec![
            ("amount", Value::Long(i64::MAX)),
            ("price", Value::Decimal(Decimal::from_scaled(9_007_199_254_740_993))),
            ("pin", Value::text("4711")),
            ("card", of(vec![("number", Value::text("4000-1234"))])),
            ("cards", Value::Set(vec![of(vec![("number", Value::text("4000-1234"))])])),
            ("when", Value::Datetime(policy_core::value::Millis(0))),
            ("note", Value::text("a \"quoted\" word")),
        ]);
        let mut out = Writer { first: true, ..Writer::default() };
        out.kept("arguments.order", "order", order.as_ref(), Some((kind, false)));
        assert_eq!(
            out.text,
            r#""order":{"amount":9223372036854775807,"card":{},"note":"a \"quoted\" word","price":900719925474.0993}"#
        );
        let withheld = ["card.number", "cards", "pin", "when"].map(|name| format!("arguments.order.{name}"));
        assert_eq!(out.withheld, withheld);
    }
}
