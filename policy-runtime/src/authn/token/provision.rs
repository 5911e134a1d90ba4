//! From a token to a user of the store: who may become one, and how.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy_core::{Participant, Scope};

use super::mapping::ClaimMapping;
use super::rules::VerifiedToken;
use super::source::TokenUsers;
use crate::authn::{AuthnCode, AuthnError, BoxFuture};
use crate::identity::{EmailKey, ExternalIdentity, IdentityStore, StoreError, User};

/// The detail of a refusal by which whoever has proved who they are learns that they may not sign in.
pub(crate) const DISABLED: &str = "the user is disabled";

/// Who becomes a user of a scope when a provider vouches for them.
///
/// ```
/// use policy_runtime::authn::token::Provisioning;
/// let rule = Provisioning::PreCreated { authoritative: ["example.com".to_owned()].into() };
/// assert_ne!(rule, Provisioning::Registration);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provisioning {
    /// Users that were created before. One is bound, once, when the token has a verified address of a domain for which
    /// this provider has the say.
    PreCreated {
        /// These domains.
        authoritative: BTreeSet<String>,
    },
    /// Whoever has a verified address of one of these domains.
    Automatic {
        /// The domains.
        domains: BTreeSet<String>,
        /// The roles that a new user gets.
        roles: Vec<String>,
    },
    /// Only who has registered.
    Registration,
}

/// Users of a store behind a token configuration.
///
/// ```
/// use std::sync::Arc;
/// use policy_core::Scope;
/// use policy_runtime::authn::token::Provisioned;
/// use policy_runtime::identity::MemoryStore;
///
/// let acme = Scope::organization("acme").unwrap();
/// let users = |store| Provisioned::new("corporate", acme.clone(), store);
/// let bound = users(Arc::new(MemoryStore::default())).authoritative_for(["example.com"]);
/// let created = users(Arc::new(MemoryStore::default())).automatic(["example.com"], ["user"]);
/// ```
#[derive(Debug, Clone)]
pub struct Provisioned {
    configuration: String,
    scope: Scope,
    store: Arc<dyn IdentityStore>,
    rule: Provisioning,
    mapping: ClaimMapping,
    auth_type: String,
}

impl Provisioned {
    /// Makes the users of one configuration in one scope; until more is said, nobody is created and nobody bound.
    pub fn new(configuration: &str, scope: Scope, store: Arc<dyn IdentityStore>) -> Self {
        Self {
            configuration: configuration.to_owned(),
            scope,
            store,
            rule: Provisioning::PreCreated { authoritative: BTreeSet::new() },
            mapping: ClaimMapping::default(),
            auth_type: "oidc".to_owned(),
        }
    }

    /// Binds users that were created before, by verified addresses of these domains.
    #[must_use]
    pub fn authoritative_for<'a>(mut self, domains: impl IntoIterator<Item = &'a str>) -> Self {
        self.rule =
            Provisioning::PreCreated { authoritative: domains.into_iter().map(str::to_ascii_lowercase).collect() };
        self
    }

    /// Creates users for verified addresses of these domains.
    #[must_use]
    pub fn automatic<'a>(
        mut self,
        domains: impl IntoIterator<Item = &'a str>,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.rule = Provisioning::Automatic {
            domains: domains.into_iter().map(str::to_ascii_lowercase).collect(),
            roles: roles.into_iter().map(str::to_owned).collect(),
        };
        self
    }

    /// Takes only who has registered.
    #[must_use]
    pub fn registration(mut self) -> Self {
        self.rule = Provisioning::Registration;
        self
    }

    /// Sets what the claims add to a stored user.
    #[must_use]
    pub fn mapping(mut self, mapping: ClaimMapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// What the provider calls whoever a token names.
    pub(super) fn identity(&self, token: &VerifiedToken) -> ExternalIdentity {
        ExternalIdentity {
            configuration: self.configuration.clone(),
            issuer: token.issuer().to_owned(),
            machine: token.is_machine(),
            number: token.subject().is_number(),
            subject: token.subject().as_text().to_owned(),
        }
    }

    #[cfg(feature = "signin")]
    pub(super) fn registers(&self) -> bool {
        self.rule == Provisioning::Registration
    }

    /// What the claims say of somebody, stored or not; of addresses those alone that the provider proves.
    pub(super) fn mapped(&self, token: &VerifiedToken) -> Result<Participant, AuthnError> {
        Ok(self.mapping.apply(token.claims(), Participant::builder(self.scope.clone(), "unknown"))?.build())
    }

    async fn user(&self, token: &VerifiedToken, mapped: &Participant) -> Result<User, AuthnError> {
        let identity = self.identity(token);
        if let Some(user) = self.store.user_of(&self.scope, &identity).await.map_err(unavailable)? {
            return Ok(user);
        }
        let nobody = |detail| AuthnError::new(AuthnCode::NotProvisioned, detail);
        // The mapping lets through only addresses that the provider marks as verified.
        let email = mapped.email().ok_or_else(|| nobody("the token proves no address, and its subject is unknown"))?;
        let key = EmailKey::new(email).map_err(|_| nobody("the token's address is none"))?;
        match &self.rule {
            Provisioning::Registration => Err(nobody("the user has not registered")),
            Provisioning::PreCreated { authoritative } => {
                if !authoritative.contains(key.domain()) {
                    return Err(nobody("the provider has no say about addresses of that domain"));
                }
                let bound = self.store.bind(&self.scope, &key, &identity).await.map_err(unavailable)?;
                bound.ok_or_else(|| nobody("no user of that address waits for an identity"))
            }
            Provisioning::Automatic { domains, roles } => {
                if !domains.contains(key.domain()) {
                    return Err(nobody("addresses of that domain are not let in"));
                }
                match self.store.create(&self.scope, email, mapped.display_name(), roles, &identity).await {
                    Ok(user) => Ok(user),
                    // Somebody else's address; or another sign-in of the same person came first.
                    Err(StoreError::Exists { .. }) => {
                        let found = self.store.user_of(&self.scope, &identity).await.map_err(unavailable)?;
                        found.ok_or_else(|| nobody("the address belongs to another user"))
                    }
                    Err(error) => Err(unavailable(error)),
                }
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: StoreError) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, error.to_string())
}

impl TokenUsers for Provisioned {
    fn participant<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(Participant, u64), AuthnError>> {
        Box::pin(async move {
            let user = self.user(token, &self.mapped(token)?).await?;
            if !user.enabled {
                return Err(AuthnError::new(AuthnCode::WrongCredentials, DISABLED).concerning(&user.id, &user.scope));
            }
            let auth_type = token.auth_type(&self.auth_type);
            let builder = self.mapping.apply(token.claims(), user.participant())?;
            let builder = builder.subject(token.subject().as_text()).auth_type(&auth_type);
            // What is stored is ours; the provider's spelling of the address does not replace it.
            let builder = match &user.email {
                Some(email) => builder.email(email),
                None => builder,
            };
            Ok((builder.build(), user.epoch))
        })
    }
}

#[cfg(test)]
mod tests {
    use policy_core::value::Millis;
    use serde_json::json;

    use super::super::{Json, TokenRules};
    use super::*;
    use crate::identity::{MemoryStore, NewUser};

    const NOW: i64 = 1_795_311_717;

    fn token(subject: &str, email: &str, verified: bool) -> VerifiedToken {
        let claims = json!({
            "iss": "i", "aud": "a", "sub": subject, "exp": NOW + 60, "email": email, "email_verified": verified,
            "name": "Alice",
        });
        let claims = Json::parse(claims.to_string().as_bytes()).unwrap();
        TokenRules::new("i", "a").check_claims(Arc::new(claims), Millis(NOW * 1000)).unwrap()
    }

    fn store() -> (Arc<MemoryStore>, Scope) {
        let store = Arc::new(MemoryStore::default());
        store.create_organization("acme").unwrap();
        (store, Scope::organization("acme").unwrap())
    }

    async fn code(users: &Provisioned, token: &VerifiedToken) -> AuthnCode {
        users.participant(token).await.unwrap_err().code()
    }

    #[tokio::test]
    async fn a_pre_created_user_is_bound_once() {
        let (store, acme) = store();
        let alice = store.create_user(NewUser::new(acme.clone(), "Alice@acme.example").role("finance")).unwrap();
        let closed = Provisioned::new("main", acme.clone(), store.clone());
        assert_eq!(code(&closed, &token("s1", "alice@acme.example", true)).await, AuthnCode::NotProvisioned);
        let users = closed.clone().authoritative_for(["acme.example"]);
        assert_eq!(code(&users, &token("s1", "alice@acme.example", false)).await, AuthnCode::NotProvisioned);
        assert_eq!(code(&users, &token("s1", "bob@acme.example", true)).await, AuthnCode::NotProvisioned);
        assert_eq!(code(&users, &token("s1", "alice@other.example", true)).await, AuthnCode::NotProvisioned);
        let (found, epoch) = users.participant(&token("s1", "ALICE@acme.example", true)).await.unwrap();
        assert_eq!((found.id(), found.email()), (alice.id.as_str(), Some("Alice@acme.example")));
        assert_eq!((found.roles(), found.subject()), (&["finance".into()][..], Some("s1")));
        assert!(epoch > alice.epoch);
        assert_eq!(code(&users, &token("s2", "alice@acme.example", true)).await, AuthnCode::NotProvisioned);
        // Bound, she is known by her subject, whatever the address says now.
        let (again, _) = closed.participant(&token("s1", "new@else.example", false)).await.unwrap();
        assert_eq!(again.id(), alice.id);
        let elsewhere = Provisioned::new("second", acme, store.clone()).authoritative_for(["acme.example"]);
        assert_eq!(code(&elsewhere, &token("s1", "alice@acme.example", true)).await, AuthnCode::NotProvisioned);
        store.update_user(&alice.id, |user| user.enabled = false).unwrap();
        assert_eq!(code(&users, &token("s1", "alice@acme.example", true)).await, AuthnCode::WrongCredentials);
        store.remove_user(&alice.id).unwrap();
        assert_eq!(code(&users, &token("s1", "alice@acme.example", true)).await, AuthnCode::NotProvisioned);
    }

    #[tokio::test]
    async fn automatic_users_come_from_allowed_domains() {
        let (store, acme) = store();
        store.create_user(NewUser::new(acme.clone(), "taken@acme.example")).unwrap();
        let users = Provisioned::new("main", acme.clone(), store.clone()).automatic(["ACME.example"], ["user"]);
        let (first, _) = users.participant(&token("s1", "alice@acme.example", true)).await.unwrap();
        let (again, _) = users.participant(&token("s1", "alice@acme.example", true)).await.unwrap();
        assert_eq!((first.id(), first.display_name()), (again.id(), Some("Alice")));
        assert_eq!(first.roles(), ["user".into()]);
        for (subject, email, verified) in [
            ("s2", "alice@acme.example", true),
            ("s3", "taken@acme.example", true),
            ("s4", "mallory@evil.example", true),
            ("s5", "mallory@acme.example", false),
            ("s6", "mallory@acme.example.evil.example", true),
        ] {
            assert_eq!(code(&users, &token(subject, email, verified)).await, AuthnCode::NotProvisioned, "{email}");
        }
        let closed = users.clone().registration();
        assert_eq!(code(&closed, &token("s7", "new@acme.example", true)).await, AuthnCode::NotProvisioned);
        closed.participant(&token("s1", "alice@acme.example", true)).await.unwrap();
    }
}
