//! Where a scope requires a second factor, of those too who sign in somewhere else.

use std::collections::BTreeSet;

use policy_core::Scope;

use super::SecondFactors;
use crate::authn::{Authenticator, AuthnCode, AuthnError, BoxFuture, MACHINE, Outcome};
use crate::credential::{Credential, Credentials};

/// An authenticator for others' tokens, which must prove a second factor where the scope requires one.
///
/// ```
/// use policy_runtime::authn::Authenticator;
/// use policy_runtime::authn::second_factor::{Demanded, SecondFactors};
/// fn asking<A: Authenticator>(tokens: A, second_factors: &SecondFactors) -> Demanded<A> {
///     second_factors.demanded_of(tokens)
/// }
/// ```
#[derive(Debug)]
pub struct Demanded<A> {
    inner: A,
    factors: SecondFactors,
}

impl SecondFactors {
    /// Refuses of an authenticator's people those who have shown one proof alone, where their scope requires two. Machines are let
    /// through, and so is everybody where nothing is required: there `participant.mfa` is for the rules to read.
    pub fn demanded_of<A: Authenticator>(&self, inner: A) -> Demanded<A> {
        Demanded { inner, factors: self.clone() }
    }
}

impl<A: Authenticator> Authenticator for Demanded<A> {
    fn method(&self) -> &str {
        self.inner.method()
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, request: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let outcome = self.inner.authenticate(credential, request).await;
            let Outcome::Authenticated(found) = &outcome else { return outcome };
            let who = found.participant();
            let is_enough = who.mfa() || who.auth_type().ends_with(MACHINE);
            if is_enough || !self.factors.requires(who.scope(), who.roles()) {
                return outcome;
            }
            let error = AuthnError::new(AuthnCode::SecondFactorNeeded, "the provider vouches for one proof alone");
            error.concerning(who.id(), who.scope()).into()
        })
    }

    fn off_in(&self, scopes: &BTreeSet<Scope>) {
        self.inner.off_in(scopes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policy_core::Participant;

    use super::*;
    use crate::authn::{Authenticated, Chain};
    use crate::clock::SystemClock;
    use crate::database::{Database, DatabaseAddress};
    use crate::identity::{SecondFactorRule, SqlStore};
    use crate::secret::Secret;

    /// Whom a provider vouches for, as the token says: `scope role type mfa`.
    #[derive(Debug)]
    struct Provider;

    impl Authenticator for Provider {
        fn method(&self) -> &'static str {
            "token"
        }

        fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
            let Credential::Bearer(token) = credential else { return Box::pin(async { Outcome::NotPresented }) };
            let parts: Vec<&str> = token.expose().split(' ').collect();
            let [scope, role, kind, mfa] = parts[..] else { panic!() };
            let participant = Participant::builder(scope.parse().unwrap(), "ann").role(role).auth_type(kind);
            let found = Authenticated::new(participant.mfa(mfa == "mfa").build(), "token");
            Box::pin(async { Outcome::Authenticated(Box::new(found)) })
        }
    }

    #[tokio::test]
    async fn others_tokens_prove_two_factors_where_two_are_required() {
        let store = Arc::new(SqlStore::new(Database::open(&DatabaseAddress::Memory).await.unwrap()));
        let key = Secret::new([7; 32]);
        let factors = SecondFactors::new(store.clone(), store, Arc::new(SystemClock), key)
            .rule("app:acme/vault".parse().unwrap(), SecondFactorRule::Required)
            .rule("org:acme".parse().unwrap(), SecondFactorRule::RequiredForAdmins);
        let chain = Chain::builder().with(factors.demanded_of(Provider)).build();
        for (token, is_in) in [
            ("app:acme/vault user oidc one", false),
            ("app:acme/vault user oidc mfa", true),
            ("app:acme/vault worker oidc-machine one", true),
            ("app:acme/shop user oidc one", true),
            ("app:acme/shop admin oidc one", false),
            ("app:acme/shop admin oidc mfa", true),
            ("org:acme member oidc one", false),
            ("org:globex owner oidc one", true),
        ] {
            let request = Credentials::of(Credential::Bearer(Secret::new(token.to_owned())));
            match chain.authenticate(&request).await {
                Outcome::Authenticated(_) => assert!(is_in, "{token}"),
                Outcome::Rejected(error) => {
                    assert!(!is_in, "{token}");
                    assert_eq!(error.code(), AuthnCode::SecondFactorNeeded);
                    assert!(error.pending().is_none(), "a password was not shown");
                }
                Outcome::NotPresented => panic!("{token}"),
            }
        }
    }
}
