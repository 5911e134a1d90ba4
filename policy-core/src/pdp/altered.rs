//! A request with some of its data changed: what would be asked if it were otherwise.
//!
//! In: a request and [`Edit`]s. Out: [`Altered`], which owns all that it asks about. Absent: which edits make sense.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::context::{Context, Facts};
use crate::ir::{Path, Root};
use crate::participant::Participant;
use crate::request::{Request, Resource};
use crate::value::{Millis, Slot, Value, ValueRef};

/// One attribute and the value that it would have. It is displayed as a rule would write it, and secrets never.
///
/// ```
/// use policy_core::pdp::Edit;
/// use policy_core::ir::{Path, Root};
/// use policy_core::value::{Slot, Value};
/// let path = Path { root: Root::Participant, slots: vec![Slot::named("mfa")] };
/// assert_eq!(Edit::new(path, "participant.mfa", Some(Value::Bool(true))).to_string(), "participant.mfa = true");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Edit {
    /// Which attribute.
    pub path: Path,
    /// As a rule spells it.
    pub text: Arc<str>,
    /// Its value; `None` for none.
    pub to: Option<Value>,
    /// Whether no explanation may show the value.
    pub secret: bool,
}

impl Edit {
    /// Makes an edit of an attribute that is no secret.
    pub fn new(path: Path, text: &str, to: Option<Value>) -> Self {
        Self { path, text: text.into(), to, secret: false }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(_) if self.secret => write!(f, "{} = (secret)", self.text),
            Some(value) => write!(f, "{} = {}", self.text, value.as_ref()),
            None => write!(f, "{} absent", self.text),
        }
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

type Fields = BTreeMap<Arc<str>, Value>;

/// The data of a request, owned.
#[derive(Debug)]
pub(super) struct Altered {
    participant: Participant,
    facts: Facts,
    time: Millis,
    args: Vec<Option<Value>>,
    resource: Option<(String, Fields)>,
}

impl Altered {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let resource = request.resource.map(|resource| {
            let mut fields = Fields::new();
            resource.attributes.each_field(&mut |name, value| {
                fields.extend(value.to_value().map(|value| (Arc::from(name), value)));
            });
            (resource.id.to_owned(), fields)
        });
        Self {
            participant: request.participant.clone(),
            facts: request.context.facts.clone(),
            time: request.context.time,
            args: request.args.iter().map(ValueRef::to_value).collect(),
            resource,
        }
    }

    /// Makes one change; `None` where it cannot be made.
    pub(super) fn edit(&mut self, edit: &Edit) -> Option<()> {
        let Path { root, slots } = &edit.path;
        match (root, slots.split_first()) {
            (Root::Participant, Some((slot, rest))) => self.participant = self.participant_with(slot, rest, edit)?,
            (Root::Context, Some((slot, []))) => self.context(slot, edit)?,
            (Root::Context | Root::Participant, _) => return None,
            (Root::Resource, _) => {
                let fields = &mut self.resource.as_mut()?.1;
                let mut whole = Some(Value::Record(fields.clone()));
                set(&mut whole, slots, edit.to.as_ref())?;
                let Some(Value::Record(changed)) = whole else { return None };
                *fields = changed;
            }
            (Root::Arg(n, _), _) => set(self.args.get_mut(usize::from(*n))?, slots, edit.to.as_ref())?,
        }
        Some(())
    }

    fn participant_with(&self, slot: &Slot, rest: &[Slot], edit: &Edit) -> Option<Participant> {
        let from = &self.participant;
        let text = |wanted: &str, now: Option<&str>| match (&*slot.name == wanted, &edit.to) {
            (true, Some(Value::Text(to))) => Some(to.to_string()),
            (true, _) => None,
            (false, _) => now.map(str::to_owned),
        };
        let mut built = Participant::builder(from.scope().clone(), from.id());
        let built_in = ["email", "displayName", "tenant", "authType", "subject", "roles", "mfa"];
        if let Some(email) = text("email", from.email()) {
            built = built.email(&email);
        }
        if let Some(name) = text("displayName", from.display_name()) {
            built = built.display_name(&name);
        }
        if let Some(tenant) = text("tenant", from.tenant()) {
            built = built.tenant(&tenant);
        }
        if let Some(auth_type) = text("authType", Some(from.auth_type())) {
            built = built.auth_type(&auth_type);
        }
        if let Some(subject) = text("subject", from.subject()) {
            built = built.subject(&subject);
        }
        let roles: Vec<Arc<str>> = match (&*slot.name, &edit.to) {
            ("roles", Some(Value::Set(roles))) => {
                let role = |role: &Value| if let Value::Text(role) = role { Some(role.clone()) } else { None };
                roles.iter().map(role).collect::<Option<_>>()?
            }
            ("roles", _) => return None,
            _ => from.roles().to_vec(),
        };
        let mfa = match (&*slot.name, &edit.to) {
            ("mfa", Some(Value::Bool(mfa))) => *mfa,
            ("mfa", _) => return None,
            _ => from.mfa(),
        };
        let mut own: Fields = from.attributes().iter().cloned().collect();
        if crate::participant::BUILT_IN.field(&slot.name).is_none() {
            let mut value = own.remove(&slot.name);
            set(&mut value, rest, edit.to.as_ref())?;
            own.extend(value.map(|value| (slot.name.clone(), value)));
        } else if !rest.is_empty() || !built_in.contains(&&*slot.name) {
            // Who it is, and where it belongs, is not the request's to say.
            return None;
        }
        let built = built.mfa(mfa).roles(roles.iter().map(|role| &**role));
        Some(own.into_iter().fold(built, |built, (name, value)| built.attribute(&name, value)).build())
    }

    fn context(&mut self, slot: &Slot, edit: &Edit) -> Option<()> {
        match (&*slot.name, &edit.to) {
            ("time", Some(Value::Datetime(time))) => self.time = *time,
            ("ip", Some(Value::Ip(ip))) => self.facts.ip = Some(*ip),
            ("ip", None) => self.facts.ip = None,
            ("mfa", Some(Value::Bool(mfa))) => self.facts.mfa = *mfa,
            ("connection", Some(Value::Text(connection))) => self.facts.connection = Some(connection.clone()),
            ("connection", None) => self.facts.connection = None,
            ("quota", Some(Value::Long(quota))) => self.facts.quota = Some(u32::try_from(*quota).ok()?),
            ("quota", None) => self.facts.quota = None,
            (name, to) if crate::context::BUILT_IN.field(name).is_none() => match to {
                Some(value) => self.facts.attributes.insert(name, value.clone()),
                None => self.facts.attributes.remove(name),
            },
            _ => return None,
        }
        Some(())
    }

    /// Puts the changed request to somebody.
    pub(super) fn ask<T>(&self, request: &Request<'_>, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let args: Vec<ValueRef<'_>> =
            self.args.iter().map(|arg| arg.as_ref().map_or(ValueRef::Absent, Value::as_ref)).collect();
        let resource = self.resource.as_ref().map(|(id, fields)| Resource { id, attributes: fields });
        let context = Context { time: self.time, facts: &self.facts };
        ask(&Request { participant: &self.participant, resource, context, args: &args, ..*request })
    }
}

/// Sets what a path leads to; `None` where something before it is no record.
fn set(at: &mut Option<Value>, slots: &[Slot], to: Option<&Value>) -> Option<()> {
    let Some((slot, rest)) = slots.split_first() else {
        *at = to.cloned();
        return Some(());
    };
    let Some(Value::Record(fields)) = at else { return None };
    let mut value = fields.remove(&slot.name);
    let done = set(&mut value, rest, to);
    fields.extend(value.map(|value| (slot.name.clone(), value)));
    done
}
