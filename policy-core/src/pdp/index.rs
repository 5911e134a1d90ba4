//! Which policies can apply to a request: found by action, then by what they constrain; the others cost nothing.
//!
//! Groups and policies about any action are expanded into every slice when a set is built, so that a decision looks into one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::eval::{EntityRef, Env};
use crate::name::EntityUid;
use crate::policy::Constraint;

/// The policies of one effect that can apply to one action, by the narrowest constraint that each has.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    always: Vec<u32>,
    by_principal: Option<Box<ByUid>>,
    by_resource: Option<Box<ByUid>>,
}

type ByUid = HashMap<Arc<str>, HashMap<Arc<str>, Vec<u32>>>;

fn uid_of(constraint: &Constraint) -> Option<&EntityUid> {
    match constraint {
        Constraint::Eq(uid) | Constraint::In(uid) | Constraint::IsIn(_, uid) => Some(uid),
        Constraint::Any | Constraint::Is(_) => None,
    }
}

fn put(map: &mut Option<Box<ByUid>>, uid: &EntityUid, number: u32) {
    let by_kind = map.get_or_insert_default();
    by_kind.entry(uid.kind().into()).or_default().entry(uid.id().into()).or_default().push(number);
}

fn at<'m>(map: &'m ByUid, uid: EntityRef<'_>) -> &'m [u32] {
    map.get(uid.kind).and_then(|by_id| by_id.get(uid.id)).map_or(&[], |numbers| numbers)
}

impl Bucket {
    pub(super) fn add(&mut self, number: u32, principal: &Constraint, resource: &Constraint) {
        match (principal, resource) {
            (Constraint::Eq(uid), _) => put(&mut self.by_principal, uid, number),
            (_, Constraint::Eq(uid)) => put(&mut self.by_resource, uid, number),
            _ => match (uid_of(principal), uid_of(resource)) {
                (Some(uid), _) => put(&mut self.by_principal, uid, number),
                (None, Some(uid)) => put(&mut self.by_resource, uid, number),
                (None, None) => self.always.push(number),
            },
        }
    }

    /// Visits the candidates until `visit` says that it has seen enough; whether it has.
    pub(super) fn any(&self, env: &Env<'_>, visit: &mut dyn FnMut(u32) -> bool) -> bool {
        self.always.iter().any(|n| visit(*n))
            || reach(self.by_principal.as_deref(), env.principal, env.principal_parents, visit)
            || reach(self.by_resource.as_deref(), env.resource, env.resource_parents, visit)
    }
}

impl Bucket {
    /// The candidates for a principal, whatever the resource is.
    pub(super) fn all(&self, env: &Env<'_>) -> Vec<u32> {
        let mut out = self.always.clone();
        reach(self.by_principal.as_deref(), env.principal, env.principal_parents, &mut |n| {
            out.push(n);
            false
        });
        let resources = self.by_resource.iter().flat_map(|by_kind| by_kind.values()).flat_map(HashMap::values);
        out.extend(resources.flatten());
        out
    }
}

fn reach(map: Option<&ByUid>, own: EntityRef<'_>, parents: &[EntityUid], visit: &mut dyn FnMut(u32) -> bool) -> bool {
    let Some(map) = map else { return false };
    at(map, own).iter().any(|n| visit(*n))
        || parents.iter().any(|parent| at(map, EntityRef::from(parent)).iter().any(|n| visit(*n)))
}

/// The policies that can apply to one action.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) forbids: Bucket,
    pub(super) permits: Bucket,
}
