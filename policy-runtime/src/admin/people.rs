//! What a person may ask for, and what ends with them: sessions, a copy of everything, and its erasure.

use std::collections::BTreeSet;

use policy_core::{Scope, Slug};
use serde_json::{Map, Value};

use super::decide::Right;
use super::{Admin, AdminError};
use crate::identity::{EndOf, SessionRecord, SessionStore, User};
use crate::security::SecurityContext;

impl Admin {
    pub(super) fn kept(&self) -> Result<&dyn SessionStore, AdminError> {
        self.sessions.as_deref().ok_or_else(|| AdminError::Unavailable("no sessions are kept here".into()))
    }

    /// The sessions of a user, the latest first.
    ///
    /// # Errors
    /// When the caller may not, or the scope has no such user.
    pub async fn sessions(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        user: &str,
    ) -> Result<Vec<SessionRecord>, AdminError> {
        let _ = self.permit(cx, Right::LIST_CONNECTIONS, scope).await?;
        let user = self.user_of(scope, user).await?;
        Ok(self.kept()?.sessions_of(&user.id).await?)
    }

    /// Ends a session of a user, or with `None` all of them; whoever is connected by one is out within a second, everywhere.
    ///
    /// # Errors
    /// When the caller may not, the user may do more than the caller, or the scope has no such user or session.
    pub async fn end_sessions(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        user: &str,
        session: Option<&str>,
    ) -> Result<usize, AdminError> {
        let permitted = self.permit(cx, Right::END_SESSIONS, scope).await?;
        let user = self.user_of(scope, user).await?;
        self.refuse_beyond(cx, scope, &[user.participant()])?;
        let kept = self.kept()?;
        let which = session.map_or(EndOf::User(&user.id), |session| EndOf::Own(&user.id, session));
        let permitted = permitted.about("user", &user.id).detail("session", session.unwrap_or("all").to_owned());
        self.change(permitted, async {
            let ended = kept.end_sessions(which).await?;
            match session.filter(|_| ended.is_empty()) {
                Some(session) => Err(AdminError::Missing { what: "session", name: session.to_owned() }),
                None => Ok(ended.len()),
            }
        })
        .await
    }

    /// Everything that is stored about a user, but for secrets and their hashes: the user, and what the store has besides. That
    /// somebody asked for it is recorded.
    ///
    /// # Errors
    /// When the caller may not, or the scope has no such user.
    pub async fn export_user(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        id: &str,
    ) -> Result<(User, Map<String, Value>), AdminError> {
        let permitted = self.permit(cx, Right::UPDATE_MEMBER, scope).await?;
        let user = self.user_of(scope, id).await?;
        let permitted = permitted.about("user", id).detail("changed", "exported".into());
        let more = self.change(permitted, async { Ok(self.store.personal(&user.id).await?) }).await?;
        Ok((user, more))
    }

    /// Removes a user with everything that is stored about them. In the records of the audit the opaque id alone stays, which
    /// leads to nobody; answers how many details were erased there. It may be asked again when it did not come to its end, or
    /// after [`Admin::remove_user`].
    ///
    /// # Errors
    /// As [`Admin::remove_user`].
    pub async fn erase_user(&self, cx: &SecurityContext, scope: &Scope, id: &str) -> Result<u64, AdminError> {
        match self.remove_user(cx, scope, id).await {
            // Of those who were removed before, users alone: whoever administers has no hand in the traces of others.
            Err(AdminError::Missing { what: "user", .. }) if id.starts_with(USER) => {
                if self.store.user(id).await?.is_some() {
                    return Err(AdminError::Missing { what: "user", name: id.to_owned() });
                }
            }
            removed => removed?,
        }
        let permitted = self.permit(cx, Right::REMOVE_MEMBER, scope).await?;
        let permitted = permitted.about("user", id).detail("changed", "erased".into());
        let actor = User::new(id, scope.clone()).participant().build().uid_id().to_owned();
        self.change(permitted, async {
            let mut erased = 0;
            for chain in self.journal.scopes().await? {
                erased += self.journal.erase(&chain, &actor).await?;
            }
            Ok(erased)
        })
        .await
    }

    /// The applications of an organization in which a session of another one of them counts, too.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn shared_sessions(
        &self,
        cx: &SecurityContext,
        organization: &Scope,
    ) -> Result<BTreeSet<Slug>, AdminError> {
        let _ = self.permit(cx, Right::VIEW, organization).await?;
        Ok(self.kept()?.shared_in(of(organization)?.as_str()).await?)
    }

    /// Says in which applications of an organization a session of another one of them counts: whoever is signed in to one is
    /// signed in to the others as their user of the same address.
    ///
    /// # Errors
    /// When the caller may not, or one is no application of the organization.
    pub async fn share_sessions(
        &self,
        cx: &SecurityContext,
        organization: &Scope,
        applications: &BTreeSet<Slug>,
    ) -> Result<(), AdminError> {
        let permitted = self.permit(cx, Right::SETTINGS, organization).await?;
        let (id, kept) = (of(organization)?, self.kept()?);
        let listed = applications.iter().map(Slug::as_str).collect::<Vec<_>>().join(" ");
        let permitted = permitted.about("scope", &organization.to_string()).detail("sharedSessions", listed);
        self.change(permitted, async { Ok(kept.share_in(id.as_str(), applications).await?) }).await
    }
}

/// What the ids of stored users begin with.
const USER: &str = "u_";

fn of(organization: &Scope) -> Result<&Slug, AdminError> {
    let id = organization.organization_id().filter(|_| organization.application_id().is_none());
    id.ok_or_else(|| AdminError::Invalid("sessions are shared within an organization".into()))
}
