//! Which policies can apply to a request: found by action, then by what they constrain; the others cost nothing.
//!
//! Groups and policies about any action are expanded into the slice of every action when a set is built, and what the action
//! settles of their conditions is settled then.

use super::asked::Asked;
use super::set::Member;
use crate::ir::code::Code;
use crate::ir::fold::{Known, fold};
use crate::name::{ByName, EntityUid, hash_of, hash_of_uid};
use crate::policy::{Constraint, Effect};

/// A policy of which only a part is left to be asked.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) number: u32,
    /// What is left of the condition; `None` when the whole policy has to be asked.
    pub(super) condition: Option<Code>,
}

impl Rest {
    /// What is left of a policy for one action; `None` when it is never satisfied there.
    pub(super) fn of(number: u32, member: &Member, known: &Known<'_>) -> Option<Self> {
        let policy = &member.policy;
        let scoped = policy.principal != Constraint::Any
            || match (&policy.resource, known.resource) {
                (Constraint::Any, _) => false,
                (Constraint::Is(kind), Some(known)) if **kind != *known => return None,
                (Constraint::Is(_), known) => known.is_none(),
                (Constraint::Eq(_) | Constraint::In(_) | Constraint::IsIn(..), _) => true,
            };
        match &policy.condition {
            Some(condition) => {
                let left = Code::of(&fold(condition, known));
                let never = matches!(left, Code::Const(false));
                (!never).then(|| Self { number, condition: (!scoped).then_some(left) })
            }
            None => Some(Self { number, condition: None }),
        }
    }

    /// Whether nothing is left to be asked.
    pub(super) const fn always(&self) -> bool {
        matches!(self.condition, Some(Code::Const(true)))
    }
}

/// A policy that can apply.
#[derive(Debug, Clone, Copy)]
pub(super) enum Candidate<'b> {
    /// Where only a condition is left.
    Rest(&'b Rest),
    /// Found by what it constrains.
    Whole(u32),
}

impl Candidate<'_> {
    pub(super) const fn number(self) -> u32 {
        match self {
            Candidate::Rest(rest) => rest.number,
            Candidate::Whole(number) => number,
        }
    }
}

/// The policies of one effect that can apply to one action, by the narrowest constraint that each has.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    open: Vec<Rest>,
    /// Never satisfied for this action; of interest only where somebody asks why.
    never: Vec<u32>,
    by_principal: Option<Box<ByUid>>,
    by_resource: Option<Box<ByUid>>,
}

/// Policies by the hash of the uid that they constrain; whether it is that uid, the policy itself says.
#[derive(Debug, Default)]
struct ByUid {
    /// The types of the uids by their hashes, each with its policies: an entity of another type is only looked up by what it
    /// belongs to.
    kinds: Vec<(u64, Vec<u32>)>,
    numbers: ByName<u64, Vec<u32>>,
    /// Two bits of one word for each hash, among sixteen times as many as there are: most of what a participant belongs to is
    /// in no policy, and that is told here by one look at little memory.
    bits: Box<[u64]>,
}

impl ByUid {
    fn put(map: &mut Option<Box<Self>>, uid: &EntityUid, number: u32) {
        let map = map.get_or_insert_default();
        let kind = hash_of(uid.kind());
        match map.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, numbers)) => numbers.push(number),
            None => map.kinds.push((kind, vec![number])),
        }
        map.numbers.entry(uid.hash()).or_default().push(number);
    }

    /// Notes which hashes there are, once all are there.
    fn seal(&mut self) {
        let words = (self.numbers.len() / 4).next_power_of_two();
        let mut bits = vec![0; words];
        for hash in self.numbers.keys() {
            let (word, two) = Self::bits_of(*hash, words);
            if let Some(word) = bits.get_mut(word) {
                *word |= two;
            }
        }
        self.bits = bits.into();
    }

    /// The word of a hash and its bits there; taken from other digits than the map uses.
    #[inline]
    const fn bits_of(hash: u64, words: usize) -> (usize, u64) {
        let place = (hash >> 26) as usize;
        (place & words.wrapping_sub(1), 1 << ((hash >> 20) & 63) | 1 << ((hash >> 14) & 63))
    }

    /// Whether there may be policies of a hash.
    #[inline]
    fn may_have(&self, hash: u64) -> bool {
        let (word, two) = Self::bits_of(hash, self.bits.len());
        // Before it is sealed nothing is noted.
        self.bits.get(word).is_none_or(|word| word & two == two)
    }

    #[inline(never)]
    fn at(&self, hash: u64, visit: &mut impl FnMut(u32) -> bool) -> bool {
        self.numbers.get(&hash).is_some_and(|numbers| numbers.iter().any(|number| visit(*number)))
    }

    /// Visits the policies about the principal and about all that it belongs to, until `visit` has seen enough.
    fn any_principal(&self, asked: &Asked<'_>, visit: &mut impl FnMut(u32) -> bool) -> bool {
        let (kind, id) = asked.principal_hashes();
        self.any(kind, || id, asked.request.participant.parents(), visit)
    }

    /// Visits the policies about the resource and about all that it belongs to, until `visit` has seen enough.
    fn any_resource(&self, asked: &Asked<'_>, visit: &mut impl FnMut(u32) -> bool) -> bool {
        self.any(asked.entry.hashes.1, || asked.resource_hash(), asked.resource_uids().1, visit)
    }

    #[inline]
    fn any(
        &self,
        kind: u64,
        id: impl FnOnce() -> u64,
        parents: &[EntityUid],
        visit: &mut impl FnMut(u32) -> bool,
    ) -> bool {
        (self.kinds.iter().any(|(known, _)| *known == kind) && self.one(hash_of_uid(kind, id()), visit))
            || self.within(parents, visit)
    }

    /// Visits the policies about what an entity belongs to.
    #[inline]
    fn within(&self, parents: &[EntityUid], visit: &mut impl FnMut(u32) -> bool) -> bool {
        parents.iter().any(|parent| self.one(parent.hash(), visit))
    }

    /// Visits the policies of a hash until `visit` has seen enough.
    #[inline]
    fn one(&self, hash: u64, visit: &mut impl FnMut(u32) -> bool) -> bool {
        self.may_have(hash) && self.at(hash, visit)
    }
}

/// The uid that a policy is found by, if it constrains one.
fn uid_of(constraint: &Constraint) -> Option<&EntityUid> {
    match constraint {
        Constraint::Eq(uid) | Constraint::In(uid) | Constraint::IsIn(_, uid) => Some(uid),
        Constraint::Any | Constraint::Is(_) => None,
    }
}

/// Whether a policy is found by a uid.
pub(super) fn is_keyed(member: &Member) -> bool {
    uid_of(&member.policy.principal).or_else(|| uid_of(&member.policy.resource)).is_some()
}

impl Bucket {
    /// Adds a policy that is found by a uid; whether it is.
    fn key(&mut self, number: u32, principal: &Constraint, resource: &Constraint) -> bool {
        match (principal, resource) {
            (Constraint::Eq(uid), _) => ByUid::put(&mut self.by_principal, uid, number),
            (_, Constraint::Eq(uid)) => ByUid::put(&mut self.by_resource, uid, number),
            _ => match (uid_of(principal), uid_of(resource)) {
                (Some(uid), _) => ByUid::put(&mut self.by_principal, uid, number),
                (None, Some(uid)) => ByUid::put(&mut self.by_resource, uid, number),
                (None, None) => return false,
            },
        }
        true
    }

    /// Visits the candidates until `visit` says that it has seen enough; whether it has.
    pub(super) fn any<'b>(&'b self, asked: &Asked<'_>, visit: &mut impl FnMut(Candidate<'b>) -> bool) -> bool {
        self.open.iter().any(|rest| visit(Candidate::Rest(rest)))
            || self.keyed(asked, &mut |number| visit(Candidate::Whole(number)))
    }

    /// Visits the candidates that are found by what they constrain, until `visit` has seen enough.
    #[inline]
    pub(super) fn keyed(&self, asked: &Asked<'_>, visit: &mut impl FnMut(u32) -> bool) -> bool {
        !self.is_open() && self.found(asked, visit)
    }

    #[inline(never)]
    fn found(&self, asked: &Asked<'_>, visit: &mut impl FnMut(u32) -> bool) -> bool {
        self.by_principal.as_ref().is_some_and(|map| map.any_principal(asked, visit))
            || self.by_resource.as_ref().is_some_and(|map| map.any_resource(asked, visit))
    }

    /// The candidates for a principal, whatever the resource is.
    pub(super) fn all<'b>(&'b self, asked: &Asked<'_>, visit: &mut impl FnMut(Candidate<'b>) -> bool) -> bool {
        self.open.iter().any(|rest| visit(Candidate::Rest(rest)))
            || ((self.by_principal.is_some() || self.by_resource.is_some()) && self.all_keyed(asked, visit))
    }

    #[inline(never)]
    fn all_keyed<'b>(&'b self, asked: &Asked<'_>, visit: &mut impl FnMut(Candidate<'b>) -> bool) -> bool {
        let mut whole = |number| visit(Candidate::Whole(number));
        self.by_principal.as_ref().is_some_and(|map| map.any_principal(asked, &mut whole))
            || self.by_resource.iter().flat_map(|map| map.numbers.values()).flatten().any(|number| whole(*number))
    }

    /// The policies that are not found by what they constrain.
    pub(super) fn open(&self) -> &[Rest] {
        &self.open
    }

    /// Whether these are all.
    pub(super) const fn is_open(&self) -> bool {
        self.by_principal.is_none() && self.by_resource.is_none()
    }

    const fn is_empty(&self) -> bool {
        self.open.is_empty() && self.by_principal.is_none() && self.by_resource.is_none()
    }

    /// Visits the candidates for a principal and any resource of the request's type that belongs to what it belongs to.
    pub(super) fn rows<'b>(&'b self, asked: &Asked<'_>, visit: &mut impl FnMut(Candidate<'b>)) {
        self.open.iter().for_each(|rest| visit(Candidate::Rest(rest)));
        let mut whole = |number| {
            visit(Candidate::Whole(number));
            false
        };
        if let Some(map) = &self.by_principal {
            map.any_principal(asked, &mut whole);
        }
        if let Some(map) = &self.by_resource {
            // No uid of a row is a scope's, so that nothing is visited twice.
            let own = map.kinds.iter().filter(|(kind, _)| *kind == asked.entry.hashes.1);
            own.flat_map(|(_, numbers)| numbers).for_each(|n| {
                whole(*n);
            });
            map.within(asked.resource_uids().1, &mut whole);
        }
    }

    /// The policies that are settled for the action.
    pub(super) fn never(&self) -> &[u32] {
        &self.never
    }
}

/// The policies that can apply to one action.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) forbids: Bucket,
    pub(super) permits: Bucket,
}

impl Slice {
    pub(super) fn add(&mut self, number: u32, member: &Member, known: &Known<'_>) {
        let bucket = match member.policy.effect {
            Effect::Permit => &mut self.permits,
            Effect::Forbid => &mut self.forbids,
        };
        if !bucket.key(number, &member.policy.principal, &member.policy.resource) {
            match Rest::of(number, member, known) {
                Some(rest) => bucket.open.push(rest),
                None => bucket.never.push(number),
            }
        }
    }

    /// Puts the policies in the order in which they were written.
    pub(super) fn sort(&mut self) {
        for bucket in [&mut self.forbids, &mut self.permits] {
            bucket.open.sort_by_key(|rest| rest.number);
            bucket.open.shrink_to_fit();
            let keyed = bucket.by_principal.iter_mut().chain(&mut bucket.by_resource);
            keyed.for_each(|map| map.seal());
        }
    }

    /// The permit that is always satisfied, where nothing forbids and none stands before it. Where no `permit` is asked for,
    /// any number.
    pub(super) fn always(&self, permit: bool) -> Option<u32> {
        let first = if permit { self.permits.open.first().filter(|rest| rest.always())?.number } else { 0 };
        self.forbids.is_empty().then_some(first)
    }
}
