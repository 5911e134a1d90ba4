//! Passwords that were forgotten, and those that are changed.

use http::StatusCode;
use policy_core::Scope;

use super::{Flows, No, Whence, address, bad_link, no};
use crate::authn::Authenticated;
use crate::identity::User;
use crate::identity::link::{Link, Purpose};
use crate::secret::Secret;
use crate::signin::SignIn;
use crate::signin::clients::digest;

impl SignIn {
    /// Sends a user with a password a letter with which they choose another.
    pub(in crate::signin) async fn forgot(&self, flows: &Flows, scope: Scope, email: &str) -> Result<(), No> {
        let key = address(email)?;
        let user = self.inner.users.user_by_email(&scope, &key).await?;
        // Asked for nobody too, so that the store does the same work.
        let id = user.as_ref().map_or("", |user| user.id.as_str());
        let has_password = self.inner.users.password_hash(id).await?.is_some();
        let user = user.filter(|user| user.enabled && has_password);
        let link = Link {
            purpose: Purpose::Reset,
            scope,
            email: email.trim().to_owned(),
            user: user.as_ref().map(|user| user.id.clone()),
            display_name: None,
            back: None,
        };
        let text = |token: &Secret<String>| {
            format!(
                "Somebody, perhaps you, has forgotten your password. Choose another here, within 30 minutes:\n\n{}\n\n\
                 If it was not you, do nothing.\n",
                self.page_of("reset", token)
            )
        };
        // To the address as it is stored, not as it was typed: the two may be compared as one, and be delivered apart.
        self.post(flows, link, user.and_then(|user| user.email), "Your password", text).await
    }

    /// Sets the password that a user chooses by a link; everything that the one before let in is over. It signs nobody in.
    pub(in crate::signin) async fn reset(
        &self,
        flows: &Flows,
        from: &Whence,
        token: &str,
        password: Secret<String>,
    ) -> Result<(), No> {
        let link = self.link(Purpose::Reset, token).await?;
        let Some(id) = link.and_then(|link| link.user) else { return bad_link() };
        let Some(user) = self.inner.users.user(&id).await? else { return bad_link() };
        let hashed = self.hashed(flows, &user.scope, &password, &user.known()).await?;
        let now = self.inner.stored.clock.now();
        let changed = self.inner.stored.sql.reset_by_link(&digest(token), now, &hashed).await?;
        let Some(user) = changed else { return bad_link() };
        self.end_sessions(&user);
        self.tell("password.reset", &user, from.actor(&user)).await;
        Ok(())
    }

    /// Changes the password of whoever is signed in and proves the old one; they are signed out everywhere but here.
    pub(in crate::signin) async fn change_password(
        &self,
        flows: &Flows,
        from: &Whence,
        old: &Secret<String>,
        new: Secret<String>,
        code: Option<&Secret<String>>,
    ) -> Result<Box<Authenticated>, No> {
        let (user, session) = self.signed_in_user(from).await?;
        // Whoever signed in with a second factor need not take it out again to change the first.
        let proved = self.by_password(&user, old, code, from).await;
        match proved {
            Ok(_) => {}
            Err(No::SecondFactor(_)) if session.participant().mfa() => {}
            Err(other) => return Err(other),
        }
        let hashed = self.hashed(flows, &user.scope, &new, &user.known()).await?;
        from.actor(&user).scope(flows.passwords.store().set_password(&user.id, Some(&hashed))).await?;
        let Some(user) = self.inner.users.user(&user.id).await? else {
            return no(StatusCode::CONFLICT, "the user is gone");
        };
        self.end_sessions(&user);
        Ok(Box::new((*session).clone().epoch(user.epoch)))
    }

    /// Ends the sessions that were opened before the user's epoch of now, here at once; other servers follow.
    fn end_sessions(&self, user: &User) {
        if let Some(pages) = &self.pages {
            pages.sessions.end_before(&user.id, user.epoch);
        }
    }
}
