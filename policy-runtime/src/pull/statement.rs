//! What is believed of a bundle: a statement that the server signed, for this application, in answer to this question.

use policy_core::Scope;
use policy_core::value::Millis;

use super::PullError;
use crate::authn::token::{Algorithm, ClaimPath, KeySet, TokenRules, verify};
use crate::authn::{AuthnCode, AuthnError};
use crate::sets::bundle::{Bundle, Content, STATEMENT_KIND, STATEMENT_S, audience};
use crate::sets::content::hash;

pub(super) struct Verifier<'a> {
    pub(super) server: &'a str,
    pub(super) scope: &'a Scope,
    pub(super) keys: KeySet,
}

impl Verifier<'_> {
    /// The content, if it was signed for this application; with a nonce, in answer to it.
    pub(super) fn verify(&self, bundle: &Bundle, nonce: Option<&str>, now: Millis) -> Result<Content, PullError> {
        let mut rules = TokenRules::new(self.server, audience(self.server))
            .algorithms([Algorithm::EdDsa, Algorithm::Es256])
            .kind(STATEMENT_KIND)
            .max_lifetime_s(STATEMENT_S)
            .equal(ClaimPath::name("sub"), self.scope.to_string())
            .equal(ClaimPath::name("hash"), hash(&bundle.content));
        if let Some(nonce) = nonce {
            rules = rules.equal(ClaimPath::name("nonce"), nonce);
        }
        verify(&bundle.statement, &rules, &self.keys, now).map_err(PullError::Statement)?;
        let content: Content =
            serde_json::from_str(&bundle.content).map_err(|_| PullError::Form("the content is of another form"))?;
        if content.scope != self.scope.to_string() {
            return Err(PullError::Statement(AuthnError::new(AuthnCode::TokenClaim, "it is for another scope")));
        }
        Ok(content)
    }
}
