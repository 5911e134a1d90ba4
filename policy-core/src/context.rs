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
    ];
    RecordType { name: "Context".into(), fields: fields.map(built_in).into() }
});

/// Facts about one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// When it is decided.
    pub time: Millis,
    /// Where it comes from.
    pub ip: Option<IpRange>,
    /// Whether the session used a second factor.
    pub mfa: bool,
    /// How it came: `http`, `websocket`, `local`.
    pub connection: Option<Arc<str>>,
    /// The id of the request, for logs.
    pub request_id: Option<Arc<str>>,
    /// Sorted by name.
    attributes: Vec<(Arc<str>, Value)>,
}

impl Context {
    /// Makes a context that knows only the time.
    pub const fn at(time: Millis) -> Self {
        Self { time, ip: None, mfa: false, connection: None, request_id: None, attributes: Vec::new() }
    }

    /// Adds an attribute of the application's own; the name of a built-in one (or `args`) is passed over.
    pub fn insert(&mut self, name: &str, value: Value) {
        if BUILT_IN.field(name).is_none() && name != "args" {
            insert(&mut self.attributes, name, value);
        }
    }
}

impl Record for Context {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        let text = |t: &Option<Arc<str>>| t.is_some();
        match slot.index {
            0 => ValueRef::Datetime(self.time),
            1 => self.ip.map_or(ValueRef::Absent, ValueRef::Ip),
            2 => ValueRef::Bool(self.mfa),
            3 if text(&self.connection) => ValueRef::Text(self.connection.as_deref().unwrap_or_default()),
            4 if text(&self.request_id) => ValueRef::Text(self.request_id.as_deref().unwrap_or_default()),
            3 | 4 => ValueRef::Absent,
            _ => match BUILT_IN.field(&slot.name) {
                Some((index, _)) if slot.index == Slot::BY_NAME => self.field(&Slot { index, name: slot.name.clone() }),
                _ => named(&self.attributes, &slot.name),
            },
        }
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for field in &BUILT_IN.fields {
            let value = self.field(&Slot::named(&field.name));
            if !matches!(value, ValueRef::Absent) {
                visit(&field.name, value);
            }
        }
        for (name, value) in &self.attributes {
            visit(name, value.as_ref());
        }
    }
}
