//! A participant that stays: the session of its cookie, and what it became meanwhile.
//!
//! In: orders from outside, what the peer does. Out: a session that lives on, a caller as it is now.

use std::sync::Arc;
use std::time::Duration;

use policy_core::Participant;
use tokio::time::Instant;

use super::super::outbound::Outbound;
use super::Session;

/// How often the session of a cookie is said to be alive.
const TOUCH_EVERY: Duration = Duration::from_secs(1);

/// What keeps the session of a cookie alive while it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeepAlive {
    /// Nothing: the session ends with the connection.
    Nothing,
    /// What is sent on the connection.
    Activity,
    /// The connection itself.
    Connection,
}

impl KeepAlive {
    /// Reads the header of CONNECT, which was checked before.
    pub(super) fn parse(header: Option<&str>) -> Self {
        match header {
            Some("NONE") => Self::Nothing,
            Some("CONNECTION") => Self::Connection,
            Some(_) | None => Self::Activity,
        }
    }
}

impl Session {
    /// Keeps the session of a cookie alive, now and then, if this is what does.
    pub(super) fn keep_session(&mut self, by: KeepAlive) {
        let now = Instant::now();
        if let Some((session, keep)) = self.caller.as_ref().and_then(|caller| caller.session.as_ref())
            && *keep == by
            && now.duration_since(self.touched) >= TOUCH_EVERY
            && let Some(cookies) = &self.shared.cookies
        {
            cookies.touch(session);
            self.touched = now;
        }
    }

    /// The participant changed; from now on it calls as it is now.
    pub(super) fn replace(&mut self, participant: Arc<Participant>, out: &mut Outbound) {
        let Some(caller) = &mut self.caller else { return };
        caller.facts.mfa = participant.mfa();
        caller.context = self.shared.context(participant);
        tracing::info!(target: "policy::gateway", connection = self.peer.connection, "the participant changed");
        self.decide_again(out);
    }

    /// The connection is over, and with it a session that nothing else keeps.
    pub(super) fn leave_session(&self) {
        if let Some((session, KeepAlive::Nothing)) = self.caller.as_ref().and_then(|caller| caller.session.as_ref())
            && let Some(cookies) = &self.shared.cookies
        {
            let (cookies, session) = (cookies.clone(), session.clone());
            tokio::spawn(async move {
                if let Err(error) = cookies.end_by_id(&session).await {
                    tracing::warn!(target: "policy::gateway", %error, "a session was not ended");
                }
            });
        }
    }
}
