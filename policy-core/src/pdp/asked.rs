//! A request as policies are put to it: nothing is made of it before a policy asks.
//!
//! In: a request, what is known of its action and of its scope. Out: [`Asked`]. Absent: policies.

use std::cell::OnceCell;
use std::sync::LazyLock;

use super::stack::Stack;
use crate::context::Context;
use crate::ir::eval::{EntityRef, Env, Facts};
use crate::name::{EntityUid, hash_of};
use crate::participant::Caller;
use crate::platform;
use crate::registry::ActionEntry;
use crate::request::Request;
use crate::value::{Record, ValueRef};

/// A request, with all that a decision about it needs.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) entry: &'a ActionEntry,
    stack: &'a Stack,
    caller: Caller<'a>,
    /// Made where a policy asks for a uid.
    env: OnceCell<Env<'a>>,
}

impl<'a> Asked<'a> {
    #[inline]
    pub(super) fn new(entry: &'a ActionEntry, request: &'a Request<'a>, stack: &'a Stack) -> Self {
        let own = is_native(entry, request) || *entry.participant == *platform::PARTICIPANT;
        let caller = if own { request.participant.into() } else { Caller::without_own_attributes(request.participant) };
        Self { request, entry, stack, caller, env: OnceCell::new() }
    }

    /// The hashes of the principal's type and of its id.
    pub(super) fn principal_hashes(&self) -> (u64, u64) {
        static PARTICIPANT: LazyLock<u64> = LazyLock::new(|| hash_of(platform::PARTICIPANT));
        let kind = if is_native(self.entry, self.request) { self.entry.hashes.0 } else { *PARTICIPANT };
        (kind, self.request.participant.uid_hash())
    }

    /// The hash of the resource's id.
    pub(super) fn resource_hash(&self) -> u64 {
        let kept = self.request.resource.is_none() && !self.entry.is_about_scope() && !self.stack.chain.is_empty();
        if kept { self.stack.id_hash } else { hash_of(self.resource_uids().0.id) }
    }

    /// The principal's uid.
    #[inline]
    pub(super) fn principal_uid(&self) -> EntityRef<'a> {
        let kind = if is_native(self.entry, self.request) { &*self.entry.participant } else { platform::PARTICIPANT };
        EntityRef { kind, id: self.request.participant.uid_id() }
    }

    /// The resource's uid, and those of all that it belongs to.
    #[inline]
    pub(super) fn resource_uids(&self) -> (EntityRef<'a>, &'a [EntityUid]) {
        let (entry, chain): (_, &'a [EntityUid]) = (self.entry, &self.stack.chain);
        match (&self.request.resource, chain.split_first()) {
            (Some(resource), _) => (EntityRef { kind: &entry.resource, id: resource.id }, chain),
            // The scope itself is not a member of itself.
            (None, Some((scope, above))) if entry.is_about_scope() => (EntityRef::from(scope), above),
            (None, Some((scope, _))) => (EntityRef { kind: &entry.resource, id: scope.id() }, chain),
            (None, None) => (EntityRef { kind: &entry.resource, id: "" }, chain),
        }
    }

    #[inline(never)]
    fn make(&self) -> Env<'a> {
        let (entry, request) = (self.entry, self.request);
        let (resource, parents) = self.resource_uids();
        Env {
            principal: self.principal_uid(),
            principal_parents: request.participant.parents(),
            participant: self.participant(),
            action: EntityRef::from(&entry.uid),
            action_groups: &entry.groups,
            resource,
            resource_parents: parents,
            attributes: self.attributes(),
            context: request.context,
            args: request.args,
        }
    }
}

/// Whether the caller is of the tier of the service: one of another tier is no instance of the participant type that the
/// service declares.
#[inline]
fn is_native(entry: &ActionEntry, request: &Request<'_>) -> bool {
    request.participant.scope().tier() == entry.tier
}

impl<'a> Facts<'a> for Asked<'a> {
    #[inline]
    fn participant(&self) -> Caller<'a> {
        self.caller
    }

    #[inline]
    fn attributes(&self) -> Option<&'a (dyn Record + Sync)> {
        self.request.resource.map(|resource| resource.attributes)
    }

    #[inline]
    fn context(&self) -> Context<'a> {
        self.request.context
    }

    #[inline]
    fn args(&self) -> &'a [ValueRef<'a>] {
        self.request.args
    }

    fn env(&self) -> &Env<'a> {
        self.env.get_or_init(|| self.make())
    }
}
