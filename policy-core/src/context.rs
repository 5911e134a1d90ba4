//! The environment of a request as rules read it: `context.time`, `context.ip`, what the application adds.
//!
//! In: facts of the connection. Out: [`Context`], a record. Absent: the clock; time comes in.

use std::sync::{Arc, LazyLock};

use crate::kind::{Described, Kind, RecordType};
use crate::participant::{built_in, insert, named};
use crate::value::{IpRange, Millis, Record, Slot, Value, ValueRef};

/// The attributes that every context has, in the order of their slots. `args` is reserved: Cedar sees the arguments there.
pub static BUILT_IN: LazyLock<RecordType> = LazyLock::new(|| {
    let fields = [
        ("time", "time", Described::required(Kind::Datetime)),
        ("ip", "ip", Described::optional(Kind::Ip)),
        ("mfa", "mfa", Described::required(Kind::Bool)),
        ("connection", "connection", Described::optional(Kind::Text)),
        ("requestId", "request_id", Described::optional(Kind::Text)),
        ("quota", "quota", Described::optional(Kind::Long)),
    ];
    RecordType { name: "Context".into(), fields: fields.map(built_in).into() }
});

/// What is known of where a request comes from, prepared once per connection or request.
///
/// ```
/// use policy_core::Facts;
/// use policy_core::value::Value;
///
/// let mut facts = Facts { mfa: true, connection: Some("http".into()), ..Facts::default() };
/// facts.attributes.insert("region", Value::text("eu"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever knows the facts must say all of them")]
pub struct Facts {
    /// Where it comes from.
    pub ip: Option<IpRange>,
    /// Whether the session used a second factor.
    pub mfa: bool,
    /// How it came: `http`, `websocket`, `local`.
    pub connection: Option<Arc<str>>,
    /// The id of the request, for logs.
    pub request_id: Option<Arc<str>>,
    /// How many more requests of this caller may come at once, where callers are limited.
    pub quota: Option<u32>,
    /// The application's own attributes.
    pub attributes: OwnAttributes,
}

/// Attributes that an application adds, sorted by name. The names of built-in ones (and `args`) are passed over.
///
/// ```
/// use policy_core::context::{Context, Facts};
/// use policy_core::value::{Millis, Slot, Value, ValueRef};
///
/// let mut facts = Facts::default();
/// facts.attributes.insert("region", Value::text("eu"));
/// facts.attributes.insert("mfa", Value::Bool(true)); // not the application's to say
/// let context = Context { time: Millis(0), facts: &facts };
/// assert!(matches!(context.attribute(&Slot::named("region")), ValueRef::Text("eu")));
/// assert!(matches!(context.attribute(&Slot::named("mfa")), ValueRef::Bool(false)));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnAttributes(Vec<(Arc<str>, Value)>);

impl OwnAttributes {
    /// Adds one; an earlier one of the name is replaced.
    pub fn insert(&mut self, name: &str, value: Value) {
        if BUILT_IN.field(name).is_none() && name != "args" {
            insert(&mut self.0, name, value);
        }
    }

    /// Takes one away.
    #[cfg(feature = "engine")]
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| **own != *name);
    }

    /// Adds every field of a record; one whose value cannot be held is left out, and therefore absent.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use std::sync::Arc;
    /// use policy_core::context::OwnAttributes;
    /// use policy_core::value::Value;
    /// let mut own = OwnAttributes::default();
    /// own.extend(&BTreeMap::from([(Arc::from("region"), Value::text("eu"))]));
    /// assert_ne!(own, OwnAttributes::default());
    /// ```
    pub fn extend(&mut self, record: &dyn Record) {
        record.each_field(&mut |name, value| {
            if let Some(value) = value.to_value() {
                self.insert(name, value);
            }
        });
    }
}

/// The environment of one decision: when, and the facts of the request.
///
/// ```
/// use policy_core::{Context, Facts};
/// use policy_core::value::{Millis, Slot, ValueRef};
///
/// let context = Context { time: Millis(1_000), facts: &Facts::default() };
/// assert!(matches!(context.attribute(&Slot::named("time")), ValueRef::Datetime(Millis(1_000))));
/// assert!(matches!(context.attribute(&Slot::named("ip")), ValueRef::Absent));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Context<'a> {
    /// When it is decided.
    pub time: Millis,
    /// What else is known.
    pub facts: &'a Facts,
}

fn text(value: Option<&Arc<str>>) -> ValueRef<'_> {
    value.map_or(ValueRef::Absent, |t| ValueRef::Text(t))
}

impl<'a> Context<'a> {
    /// The attribute in `slot`, borrowed from the facts.
    pub fn attribute(self, slot: &Slot) -> ValueRef<'a> {
        match slot.index {
            0 => ValueRef::Datetime(self.time),
            1 => self.facts.ip.map_or(ValueRef::Absent, ValueRef::Ip),
            2 => ValueRef::Bool(self.facts.mfa),
            3 => text(self.facts.connection.as_ref()),
            4 => text(self.facts.request_id.as_ref()),
            5 => self.facts.quota.map_or(ValueRef::Absent, |quota| ValueRef::Long(quota.into())),
            _ => match BUILT_IN.field(&slot.name) {
                Some((index, _)) if slot.index == Slot::BY_NAME => {
                    self.attribute(&Slot { index, name: slot.name.clone() })
                }
                _ => named(&self.facts.attributes.0, &slot.name),
            },
        }
    }
}

impl Record for Context<'_> {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        self.attribute(slot)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for field in &BUILT_IN.fields {
            let value = self.field(&Slot::named(&field.name));
            if !matches!(value, ValueRef::Absent) {
                visit(&field.name, value);
            }
        }
        for (name, value) in &self.facts.attributes.0 {
            visit(name, value.as_ref());
        }
    }
}
