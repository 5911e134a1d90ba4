//! Sessions of browsers as a store keeps them, so that all servers of a deployment know them.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::participant::ParticipantBuilder;
use policy_core::value::{Millis, Value};
use policy_core::{Scope, Slug};

use super::{SignInRules, Stored, User};

/// A session of a stored user. The value of its cookie is kept nowhere, only its hash.
///
/// ```
/// use policy_runtime::identity::SessionRecord;
/// fn told(session: &SessionRecord) -> String {
///     format!("{} by {} since {}", session.user, session.method, session.since)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// Its id, which is no secret.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// The method that opened it.
    pub method: String,
    /// How that was proved.
    pub amr: Vec<String>,
    /// What the sign-in added to what is stored.
    pub added: Added,
    /// The user's epoch at that time.
    pub epoch: u64,
    /// Since when.
    pub since: Millis,
    /// Until when in any case.
    pub ends: Millis,
    /// Until when without use.
    pub idle_ends: Millis,
}

/// What a sign-in says of a user beside what is stored: all of it by claims of a provider, little by a password.
///
/// ```
/// use policy_runtime::identity::Added;
/// let by_password = Added { auth_type: "password".into(), ..Added::default() };
/// assert!(by_password.roles.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is what a participant has beside its user")]
pub struct Added {
    /// How it signed in, as policies read it.
    pub auth_type: String,
    /// Whether with a second factor.
    pub mfa: bool,
    /// The provider's name for it.
    pub subject: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Attributes.
    pub attributes: Vec<(String, Value)>,
    /// Who said so, by the names of configurations.
    pub providers: BTreeSet<String>,
}

impl Added {
    /// What a participant has that its user has not; what both have is left to the store.
    pub(crate) fn of(participant: &policy_core::Participant, user: &User) -> Self {
        let differs = |own: Option<&str>, stored: &Option<String>| {
            own.filter(|own| stored.as_deref() != Some(own)).map(str::to_owned)
        };
        let roles = participant.roles().iter().map(ToString::to_string);
        let own = participant.attributes().iter().map(|(name, value)| (name.to_string(), value.clone()));
        Self {
            auth_type: participant.auth_type().to_owned(),
            mfa: participant.mfa(),
            subject: participant.subject().map(str::to_owned),
            display_name: differs(participant.display_name(), &user.display_name),
            tenant: differs(participant.tenant(), &user.tenant),
            roles: roles.filter(|role| !user.roles.contains(role)).collect(),
            attributes: own.filter(|own| !user.attributes.contains(own)).collect(),
            providers: BTreeSet::new(),
        }
    }

    /// The participant again, of the user as it is now.
    pub(crate) fn participant(&self, user: &User) -> ParticipantBuilder {
        let mut builder = user.participant().auth_type(&self.auth_type).mfa(self.mfa);
        if let Some(subject) = &self.subject {
            builder = builder.subject(subject);
        }
        if let Some(name) = &self.display_name {
            builder = builder.display_name(name);
        }
        if let Some(tenant) = &self.tenant {
            builder = builder.tenant(tenant);
        }
        builder = builder.roles(self.roles.iter().map(String::as_str));
        self.attributes.iter().fold(builder, |builder, (name, value)| builder.attribute(name, value.clone()))
    }

    /// Whether only a sign-in can say it again: it says more than how it was proved.
    pub(crate) fn is_of_sign_in(&self) -> bool {
        let adds = self.display_name.is_some() || self.tenant.is_some();
        let adds = adds || !self.roles.is_empty() || !self.attributes.is_empty();
        adds || !matches!(self.auth_type.as_str(), "password" | "token")
    }
}

/// Which sessions end.
///
/// ```
/// use policy_runtime::identity::EndOf;
/// let everywhere = EndOf::User("u_1");
/// assert_ne!(everywhere, EndOf::Session("s_1"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndOf<'a> {
    /// The one of a cookie, by the hash of its value.
    Hash(&'a str),
    /// One by its id.
    Session(&'a str),
    /// One of a user by its id; none of anybody else's.
    Own(&'a str, &'a str),
    /// All of a user.
    User(&'a str),
    /// Those that are over by age, or by idleness.
    Over(Millis),
}

/// Where sessions are kept that all servers of a deployment know.
///
/// ```
/// use policy_runtime::identity::{EndOf, SessionStore, StoreError};
/// async fn sign_out_everywhere(store: &dyn SessionStore, user: &str) -> Result<usize, StoreError> {
///     Ok(store.end_sessions(EndOf::User(user)).await?.len())
/// }
/// ```
pub trait SessionStore: super::UserStore {
    /// Keeps a session by the hash of its cookie's value; those of the same user beyond `most` end, the oldest first. False
    /// when the user is not stored here, or has changed since the session's epoch.
    fn open_session<'a>(&'a self, hash: &'a str, session: &'a SessionRecord, most: usize) -> Stored<'a, bool>;

    /// The session of a cookie, and whose it is now.
    fn session<'a>(&'a self, hash: &'a str) -> Stored<'a, Option<(SessionRecord, User)>>;

    /// Sets until when a session lasts without use.
    fn keep_session<'a>(&'a self, id: &'a str, idle_ends: Millis) -> Stored<'a, ()>;

    /// Ends sessions, and gives their ids. Unless they were over, what clients were given in them ends too. Every server learns
    /// of it, as of a change.
    fn end_sessions<'a>(&'a self, which: EndOf<'a>) -> Stored<'a, Vec<String>>;

    /// The applications of an organization in which sessions of one another count.
    fn shared_in<'a>(&'a self, organization: &'a str) -> Stored<'a, BTreeSet<Slug>>;

    /// Says which these are.
    fn share_in<'a>(&'a self, organization: &'a str, applications: &'a BTreeSet<Slug>) -> Stored<'a, ()>;

    /// What administrators have said at run time of who registers, and of who needs a second factor.
    fn sign_in_rules(&self) -> Stored<'_, BTreeMap<Scope, SignInRules>>;

    /// Replaces what was said of a scope.
    fn set_sign_in_rules<'a>(&'a self, scope: &'a Scope, rules: &'a SignInRules) -> Stored<'a, ()>;

    /// The sessions of a user, the latest first.
    fn sessions_of<'a>(&'a self, user: &'a str) -> Stored<'a, Vec<SessionRecord>>;
}
