//! Who it is by GitHub's own interface: no ID token, but a user and its addresses.

use tokio::time::Instant;

use super::super::fetch::Errand;
use super::super::{Json, VerifiedToken};
use super::{Found, LoginProvider, claims_of, failed, wrong};
use crate::authn::AuthnError;
use crate::secret::Secret;

impl LoginProvider {
    /// Asks who holds an access token. The id stays when the login name is given to somebody else; of the addresses, only the
    /// primary one counts, and only when it is verified.
    pub(super) async fn github_user(
        &self,
        found: &Found,
        access: &str,
        until: Instant,
    ) -> Result<VerifiedToken, AuthnError> {
        let api = found.user_info.as_deref().ok_or_else(|| failed("it has no interface"))?;
        let user = self.asked(api, access, until).await?;
        let id = user.get("id").filter(|id| id.as_long().is_some()).ok_or_else(|| wrong("the user has no number"))?;
        let mut more = vec![("sub", id.clone())];
        let named = user.get("name").filter(|name| name.as_text().is_some_and(|name| !name.trim().is_empty()));
        more.extend(named.or_else(|| user.get("login")).map(|name| ("name", name.clone())));
        let all = self.asked(&format!("{api}/emails"), access, until).await?;
        let is = |entry: &Json, name: &str| entry.get(name) == Some(&Json::Bool(true));
        let primary = all.as_list().unwrap_or_default().iter().find(|one| is(one, "primary") && is(one, "verified"));
        if let Some(address) = primary.and_then(|entry| entry.get("email")) {
            more.extend([("email", address.clone()), (self.email_verified, Json::Bool(true))]);
        }
        let now = self.clock.now();
        self.rules.check_claims(claims_of(&self.issuer, &self.client_id, now, more).into(), now)
    }

    async fn asked(&self, url: &str, access: &str, until: Instant) -> Result<Json, AuthnError> {
        let errand = Errand { url, body: None, authorization: Some(Secret::new(format!("Bearer {access}"))) };
        Json::parse(&self.fetcher.run(&errand, until).await.map_err(failed)?).map_err(failed)
    }
}
