//! A decided request, kept so that it can be decided again while what it opened stays open.
//!
//! In: a request with everything it borrows. Out: [`Question`], which owns it. Absent: who asks; that is said anew each time,
//! since roles and attributes change too.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy_core::context::Facts;
use policy_core::value::{Value, ValueRef};
use policy_core::{ActionId, Context, Decision, Participant, Request, Resource, Scope};

use crate::policy::Policy;

/// What was asked, with the arguments of then.
#[derive(Debug)]
pub(crate) struct Question {
    action: ActionId,
    scope: Scope,
    resource: Option<(String, BTreeMap<Arc<str>, Value>)>,
    args: Vec<Kept>,
}

/// An argument. An unusable one stays unusable.
#[derive(Debug)]
enum Kept {
    Value(Value),
    Absent,
    Unusable(&'static str),
}

impl Question {
    /// Copies a request.
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let keep = |value: &ValueRef<'_>| match (value, value.to_value()) {
            (ValueRef::Unusable(why), _) => Kept::Unusable(why),
            (_, Some(value)) => Kept::Value(value),
            (_, None) => Kept::Absent,
        };
        let resource = request.resource.map(|resource| {
            let mut attributes = BTreeMap::new();
            resource.attributes.each_field(&mut |name, value| {
                attributes.extend(value.to_value().map(|value| (Arc::from(name), value)));
            });
            (resource.id.to_owned(), attributes)
        });
        let args = request.args.iter().map(keep).collect();
        Self { action: request.action, scope: request.scope.clone(), resource, args }
    }

    /// Decides it for a participant, now.
    pub(crate) fn decide(&self, policy: &Policy, participant: &Participant, facts: &Facts) -> Decision {
        let args: Vec<ValueRef<'_>> = self
            .args
            .iter()
            .map(|kept| match kept {
                Kept::Value(value) => value.as_ref(),
                Kept::Absent => ValueRef::Absent,
                Kept::Unusable(why) => ValueRef::Unusable(why),
            })
            .collect();
        policy.engine().decide(&Request {
            participant,
            action: self.action,
            scope: &self.scope,
            resource: self.resource.as_ref().map(|(id, attributes)| Resource { id, attributes }),
            context: Context { time: policy.clock().now(), facts },
            args: &args,
        })
    }
}
