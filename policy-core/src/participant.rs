//! The authenticated party as rules read it, prepared once per connection.
//!
//! In: what authentication established. Out: [`Participant`], a record with built-in and own attributes, and the uids of its
//! roles and scopes. Absent: credentials, and how they were checked.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::kind::{Described, Field, Kind, RecordType};
use crate::name::{EntityUid, Scope, Tier, hash_of, scoped_id};
use crate::value::{Record, Slot, Value, ValueRef};

/// The attributes that every participant has, in the order of their slots.
pub static BUILT_IN: LazyLock<RecordType> = LazyLock::new(|| {
    let text = || Kind::Text;
    let tiers = Tier::ALL.iter().map(|tier| Arc::from(tier.as_str())).collect();
    let fields = [
        ("id", "id", Described::required(text())),
        ("email", "email", Described::optional(text())),
        ("displayName", "display_name", Described::optional(text())),
        ("roles", "roles", Described::required(Kind::Set(Arc::new(text())))),
        ("tier", "tier", Described::required(Kind::Enum(tiers))),
        ("organization", "organization", Described::optional(text())),
        ("application", "application", Described::optional(text())),
        ("tenant", "tenant", Described::optional(text())),
        ("authType", "auth_type", Described::required(text())),
        ("mfa", "mfa", Described::required(Kind::Bool)),
        ("subject", "subject", Described::optional(text())),
    ];
    RecordType { name: "Participant".into(), fields: fields.map(built_in).into() }
});

pub(crate) fn built_in((name, rust_name, ty): (&str, &str, Described)) -> Field {
    Field { name: name.into(), rust_name: rust_name.into(), ty, secret: false }
}

/// An authenticated party: a person, a service, a device. It belongs to exactly one scope.
///
/// ```
/// use policy_core::{Participant, Scope};
/// let alice = Participant::builder(Scope::application("acme", "orders").unwrap(), "u-1").role("finance").build();
/// assert_eq!(alice.id(), "u-1");
/// assert_eq!(alice.uid_id(), "app:acme/orders/u-1");
/// ```
#[derive(Clone, PartialEq)]
pub struct Participant {
    id: Arc<str>,
    scope: Scope,
    email: Option<Arc<str>>,
    display_name: Option<Arc<str>>,
    roles: Vec<Arc<str>>,
    /// The hashes of `roles`.
    role_hashes: Vec<u64>,
    tenant: Option<Arc<str>>,
    auth_type: Arc<str>,
    mfa: bool,
    subject: Option<Arc<str>>,
    /// Sorted by name.
    attributes: Vec<(Arc<str>, Value)>,
    /// Names of attributes that were supplied with a value that their kind cannot hold, sorted.
    unusable: Vec<(Arc<str>, &'static str)>,
    uid_id: Arc<str>,
    /// The hash of `uid_id`.
    uid_hash: u64,
    parents: Vec<EntityUid>,
}

impl Participant {
    /// Starts a participant of one scope with an opaque id.
    pub fn builder(scope: Scope, id: &str) -> ParticipantBuilder {
        ParticipantBuilder {
            built: Self {
                uid_id: "".into(),
                uid_hash: 0,
                id: id.into(),
                scope,
                email: None,
                display_name: None,
                roles: Vec::new(),
                role_hashes: Vec::new(),
                tenant: None,
                auth_type: "none".into(),
                mfa: false,
                subject: None,
                attributes: Vec::new(),
                unusable: Vec::new(),
                parents: Vec::new(),
            },
        }
    }

    /// The opaque id, unique over all scopes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The scope it was authenticated in.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The address, as it was spelled at registration.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The name to show.
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// The roles it has in its scope, sorted.
    pub fn roles(&self) -> &[Arc<str>] {
        &self.roles
    }

    /// The tenant, as provisioning set it.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// How it was authenticated: `password`, `oidc`, `api-key`, ...
    pub fn auth_type(&self) -> &str {
        &self.auth_type
    }

    /// Whether a second factor was used.
    pub const fn mfa(&self) -> bool {
        self.mfa
    }

    /// The same participant with a second factor, or without: to ask what that would change.
    ///
    /// ```
    /// use policy_core::{Participant, Scope};
    /// let alice = Participant::builder(Scope::System, "u-1").build();
    /// assert!(!alice.mfa() && alice.with_mfa(true).mfa());
    /// ```
    #[must_use]
    pub const fn with_mfa(mut self, mfa: bool) -> Self {
        self.mfa = mfa;
        self
    }

    /// The provider's name for it (`sub`).
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The application's own attributes, sorted by name.
    pub fn attributes(&self) -> &[(Arc<str>, Value)] {
        &self.attributes
    }

    /// Whether it has a role, whose name is given with its hash.
    #[cfg(feature = "engine")]
    #[inline]
    pub(crate) fn has_role(&self, role: &str, hash: u64) -> bool {
        self.role_hashes.iter().zip(&self.roles).any(|(known, name)| *known == hash && **name == *role)
    }

    /// The id of its Cedar entity, of whatever type: `<scope>/<id>`.
    pub fn uid_id(&self) -> &str {
        &self.uid_id
    }

    /// The same, to be kept.
    ///
    /// ```
    /// use policy_core::{Participant, Scope};
    /// let alice = Participant::builder(Scope::System, "alice").build();
    /// assert_eq!(*alice.shared_uid_id(), *alice.uid_id());
    /// ```
    pub fn shared_uid_id(&self) -> Arc<str> {
        Arc::clone(&self.uid_id)
    }

    /// The hash of [`Participant::uid_id`].
    #[cfg(feature = "engine")]
    pub(crate) const fn uid_hash(&self) -> u64 {
        self.uid_hash
    }

    /// The uids of its roles and of the scopes it belongs to.
    pub fn parents(&self) -> &[EntityUid] {
        &self.parents
    }
}

/// A participant as the rules of one action see it: where it is no instance of the type that the action declares, without
/// its own attributes.
///
/// ```
/// use policy_core::participant::{Caller, Participant};
/// use policy_core::value::{Slot, Value, ValueRef};
/// use policy_core::Scope;
/// let alice = Participant::builder(Scope::System, "u-1").attribute("team", Value::text("red")).build();
/// let team = Slot::named("team");
/// assert!(matches!(Caller::from(&alice).attribute(&team), ValueRef::Text("red")));
/// let outside = Caller::without_own_attributes(&alice);
/// assert!(matches!(outside.attribute(&team), ValueRef::Absent));
/// assert_eq!(outside.participant().id(), "u-1");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    participant: &'a Participant,
    own: bool,
}

impl<'a> Caller<'a> {
    /// A participant with built-in attributes alone.
    pub const fn without_own_attributes(participant: &'a Participant) -> Self {
        Self { participant, own: false }
    }

    /// The participant, whatever rules see of it.
    pub const fn participant(self) -> &'a Participant {
        self.participant
    }

    /// The attribute in `slot`, borrowed from the participant.
    #[inline]
    pub fn attribute(self, slot: &Slot) -> ValueRef<'a> {
        match self.participant.built_in(slot.index) {
            Some(value) => value,
            None => self.other(slot),
        }
    }

    #[inline(never)]
    fn other(self, slot: &Slot) -> ValueRef<'a> {
        match BUILT_IN.field(&slot.name) {
            Some((index, _)) if slot.index == Slot::BY_NAME => {
                self.participant.built_in(index).unwrap_or(ValueRef::Absent)
            }
            // A declared participant type counts its own attributes after the built-in ones; they are kept by name.
            _ if self.own => self.participant.own(&slot.name),
            _ => ValueRef::Absent,
        }
    }
}

impl<'a> From<&'a Participant> for Caller<'a> {
    fn from(participant: &'a Participant) -> Self {
        Self { participant, own: true }
    }
}

impl Record for Caller<'_> {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        self.attribute(slot)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (index, field) in (0..).zip(&BUILT_IN.fields) {
            match self.participant.built_in(index) {
                None | Some(ValueRef::Absent) => {}
                Some(value) => visit(&field.name, value),
            }
        }
        if self.own {
            for (name, value) in &self.participant.attributes {
                visit(name, value.as_ref());
            }
            for (name, why) in &self.participant.unusable {
                visit(name, ValueRef::Unusable(why));
            }
        }
    }
}

impl Participant {
    /// The built-in attribute at a place; `None` where there is no such place.
    #[inline]
    fn built_in(&self, index: u16) -> Option<ValueRef<'_>> {
        Some(match index {
            0 => ValueRef::Text(&self.id),
            1 => text(self.email.as_ref()),
            2 => text(self.display_name.as_ref()),
            3 => ValueRef::Set(&self.roles),
            4 => ValueRef::Text(self.scope.tier().as_str()),
            5 => self.scope.organization_id().map_or(ValueRef::Absent, |id| ValueRef::Text(id.as_str())),
            6 => self.scope.application_id().map_or(ValueRef::Absent, |id| ValueRef::Text(id.as_str())),
            7 => text(self.tenant.as_ref()),
            8 => ValueRef::Text(&self.auth_type),
            9 => ValueRef::Bool(self.mfa),
            10 => text(self.subject.as_ref()),
            _ => return None,
        })
    }

    fn own(&self, name: &str) -> ValueRef<'_> {
        match self.unusable.iter().find(|(unusable, _)| **unusable == *name) {
            Some((_, why)) => ValueRef::Unusable(why),
            None => named(&self.attributes, name),
        }
    }
}

/// Shows id, scope and roles; attributes may be private.
impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("id", &self.id)
            .field("scope", &self.scope.to_string())
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

fn text(value: Option<&Arc<str>>) -> ValueRef<'_> {
    value.map_or(ValueRef::Absent, |t| ValueRef::Text(t))
}

impl Record for Participant {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        Caller::from(self).attribute(slot)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        Caller::from(self).each_field(visit);
    }
}

pub(crate) fn named<'a>(attributes: &'a [(Arc<str>, Value)], name: &str) -> ValueRef<'a> {
    let found = attributes.binary_search_by(|(n, _)| (**n).cmp(name)).ok();
    found.and_then(|at| attributes.get(at)).map_or(ValueRef::Absent, |(_, value)| value.as_ref())
}

/// Puts an attribute in its place; an earlier one of the name is replaced.
pub(crate) fn insert(attributes: &mut Vec<(Arc<str>, Value)>, name: &str, value: Value) {
    match attributes.binary_search_by(|(n, _)| (**n).cmp(name)) {
        Ok(at) => {
            if let Some(slot) = attributes.get_mut(at) {
                slot.1 = value;
            }
        }
        Err(at) => attributes.insert(at, (name.into(), value)),
    }
}

/// Collects what is known of a participant.
///
/// ```
/// use policy_core::value::Value;
/// use policy_core::{Participant, Scope};
///
/// let scope = Scope::application("acme", "orders").unwrap();
/// let alice = Participant::builder(Scope::System, "u-1")
///     .scope(scope)
///     .email("alice@example.com")
///     .display_name("Alice")
///     .tenant("north")
///     .auth_type("oidc")
///     .subject("auth0|7")
///     .attribute("level", Value::Long(3))
///     .attribute("roles", Value::text("admin")) // no claim can forge what is built in
///     .build();
/// assert_eq!((alice.email(), alice.tenant(), alice.roles().len()), (Some("alice@example.com"), Some("north"), 0));
/// ```
#[derive(Debug, Clone)]
pub struct ParticipantBuilder {
    built: Participant,
}

impl From<&Participant> for ParticipantBuilder {
    /// Starts from what is known of somebody.
    fn from(known: &Participant) -> Self {
        Self { built: known.clone() }
    }
}

impl ParticipantBuilder {
    /// Sets the opaque id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.built.id = id.into();
        self
    }

    /// Sets the scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.built.scope = scope;
        self
    }

    /// Sets the e-mail address.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.built.email = Some(email.into());
        self
    }

    /// Sets the name to show.
    #[must_use]
    pub fn display_name(mut self, name: &str) -> Self {
        self.built.display_name = Some(name.into());
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.built.roles.push(role.into());
        self
    }

    /// Adds roles.
    #[must_use]
    pub fn roles<'a>(self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        roles.into_iter().fold(self, Self::role)
    }

    /// Sets the tenant; never from something the client sent.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.built.tenant = Some(tenant.into());
        self
    }

    /// Sets how it was authenticated.
    #[must_use]
    pub fn auth_type(mut self, auth_type: &str) -> Self {
        self.built.auth_type = auth_type.into();
        self
    }

    /// Says whether a second factor was used.
    #[must_use]
    pub const fn mfa(mut self, mfa: bool) -> Self {
        self.built.mfa = mfa;
        self
    }

    /// Sets the provider's name for it.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.built.subject = Some(subject.into());
        self
    }

    /// Sets an attribute of the application's own; the name of a built-in one is passed over, so that no claim can forge it.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: Value) -> Self {
        if BUILT_IN.field(name).is_none() {
            self.built.unusable.retain(|(unusable, _)| **unusable != *name);
            insert(&mut self.built.attributes, name, value);
        }
        self
    }

    /// Sets the attributes of the application's own participant type. One that its kind cannot hold refuses what reads it.
    #[must_use]
    pub fn attributes(mut self, own: &dyn Record) -> Self {
        let (mut found, mut unusable) = (Vec::new(), Vec::new());
        own.each_field(&mut |name, value| match value.unusable() {
            Some(why) => unusable.push((Arc::from(name), why)),
            None => found.extend(value.to_value().map(|value| (name.to_owned(), value))),
        });
        for (name, value) in found {
            self = self.attribute(&name, value);
        }
        unusable.retain(|(name, _): &(Arc<str>, _)| BUILT_IN.field(name).is_none());
        self.built.attributes.retain(|(name, _)| !unusable.iter().any(|(other, _)| other == name));
        self.built.unusable.extend(unusable);
        self
    }

    /// Finishes: sorts the roles and prepares the uids.
    pub fn build(mut self) -> Participant {
        let scope = &self.built.scope;
        let roles: BTreeSet<Arc<str>> = self.built.roles.into_iter().collect();
        let mut parents: Vec<EntityUid> = roles.iter().map(|role| EntityUid::of_role(scope, role)).collect();
        parents.extend(chain(scope));
        self.built.uid_id = scoped_id(scope, &self.built.id).into();
        self.built.uid_hash = hash_of(&self.built.uid_id);
        self.built.role_hashes = roles.iter().map(|role| hash_of(role)).collect();
        self.built.roles = roles.into_iter().collect();
        self.built.parents = parents;
        self.built
    }
}

/// The uids of a scope and of all that it belongs to, from the inside out.
///
/// ```
/// use policy_core::{Scope, participant::chain};
/// let kinds: Vec<String> = chain(&Scope::organization("acme").unwrap()).iter().map(|uid| uid.kind().to_owned()).collect();
/// assert_eq!(kinds, ["Platform::Organization", "Platform::System"]);
/// ```
pub fn chain(scope: &Scope) -> Vec<EntityUid> {
    let mut out = vec![EntityUid::of_scope(scope)];
    if let Scope::Application { organization, .. } = scope {
        out.push(EntityUid::of_scope(&Scope::Organization(organization.clone())));
    }
    if *scope != Scope::System {
        out.push(EntityUid::of_scope(&Scope::System));
    }
    out
}
