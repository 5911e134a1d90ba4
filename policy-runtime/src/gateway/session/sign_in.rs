//! Who is on a connection: its CONNECT, and renewal in place.
//!
//! In: headers that carry credentials, and what came of checking them. Out: a caller, or a refusal.

use std::sync::Arc;

use policy_core::context::Facts as Known;
use policy_core::value::IpRange;
use tokio::time::Instant;

use super::super::admission::{Admission, Returning, told};
use super::super::call::Running;
use super::super::connection::{Act, CallId, Outcome};
use super::super::metrics::count;
use super::super::sessions::OpenError;
use super::{Caller, End, Event, KeepAlive, Session};
use crate::authn::{Authenticated, Outcome as Checked};
use crate::code::Code;
use crate::credential::{Credentials, Facts};
use crate::service::CallError;
use crate::wire::{self, ConnectedInfo, Headers, HeartBeat, ParticipantInfo, header};

fn unauthenticated() -> CallError {
    CallError::new(Code::Unauthenticated, Code::Unauthenticated.text())
}

impl Session {
    /// CONNECT came: with credentials of its own in the legacy dialect, else with those of the upgrade.
    pub(super) fn authenticate(&mut self, headers: Headers, acts: &mut Vec<Act>) {
        if let Some(Admission::RefusedAtConnect(why)) = &self.admission {
            return self.connection.refused(why, acts);
        }
        let pairs = headers.iter().map(|(name, value)| (name, value.as_bytes()));
        let credentials = match Credentials::from_pairs(pairs, Some(self.peer.address), &[]) {
            Ok(credentials) => self.read("CONNECT", credentials),
            Err(error) => {
                let text = error.to_string();
                let (shared, facts) =
                    (self.shared.clone(), Facts::of_unreadable(Some(self.peer.address), &self.peer.connection));
                tokio::spawn(async move { shared.chain.refuse(error, &facts).await });
                return self.connection.refused(&CallError::new(Code::Unauthenticated, text), acts);
            }
        };
        let resumes = headers.get(header::SESSION).is_some();
        self.connect_headers = headers;
        if !credentials.presented().is_empty() {
            if self.peer.returning.is_none() {
                self.peer.returning = Returning::of(&credentials, self.peer.address);
            }
            let (shared, events) = (self.shared.clone(), self.events.clone());
            self.checking = Some(Running::start(async move {
                let checked = shared.authenticate(&credentials).await;
                let _ = events.send(Event::Connect(checked)).await;
            }));
            return;
        }
        match self.admission.take() {
            Some(Admission::Authenticated(found)) => self.accept(*found, acts),
            _ if resumes => self.connection.refused(
                &CallError::new(Code::Unauthenticated, "sessions are not resumed, connect with credentials"),
                acts,
            ),
            _ => self.connection.refused(&unauthenticated(), acts),
        }
    }

    fn read(&self, method: &str, credentials: Credentials) -> Credentials {
        let credentials = credentials.at(method, wire::PATH).on(self.shared.listener.clone());
        credentials.in_request(&self.peer.connection)
    }

    /// The credentials of a CONNECT were checked. Those of an upgrade, if there were any, must prove the same participant.
    pub(super) fn checked(&mut self, checked: Checked, acts: &mut Vec<Act>) {
        let same = |one: &Authenticated, other: &Authenticated| {
            let (one, other) = (one.participant(), other.participant());
            one.id() == other.id() && one.scope() == other.scope()
        };
        match (checked, self.admission.take()) {
            (Checked::Authenticated(found), Some(Admission::Authenticated(earlier))) if !same(&found, &earlier) => {
                count(&self.shared.metrics.refused_sign_ins);
                self.connection.refused(&unauthenticated(), acts);
            }
            (Checked::Authenticated(found), _) => self.accept(*found, acts),
            (Checked::Rejected(error), _) => {
                count(&self.shared.metrics.refused_sign_ins);
                tracing::info!(target: "policy::gateway", connection = self.peer.connection, address = %self.peer.address, code = %error.code(), detail = error.detail(), "sign-in refused");
                self.connection.refused(&told(&error.answer()), acts);
            }
            (Checked::NotPresented, _) => self.connection.refused(&unauthenticated(), acts),
        }
    }

    fn accept(&mut self, found: Authenticated, acts: &mut Vec<Act>) {
        let alias = self.connect_headers.get(header::REPLY_TO_ID).map(str::to_owned);
        if alias.as_ref().is_some_and(|alias| alias.len() != 36 || uuid::Uuid::try_parse(alias).is_err()) {
            return self.connection.violated("reply-to-id must be a UUID", acts);
        }
        let opened = self.shared.sessions.open(&found, alias.as_deref(), self.peer.looked_up);
        match opened {
            Ok((registration, orders)) => {
                self.registration = Some(registration);
                self.signals.obey(orders);
            }
            // The client comes back, and is then looked up as it is now.
            Err(OpenError::Changed) => return self.end = Some(End::Revoked),
            Err(OpenError::TooMany) => {
                return self.connection.refused(&CallError::new(Code::RateLimited, "too many connections"), acts);
            }
            Err(OpenError::AliasInUse) => return self.connection.violated("reply-to-id is in use", acts),
        }
        if let Some(returning) = &self.peer.returning {
            self.shared.owed.returned(returning, Instant::now());
        }
        count(&self.shared.metrics.connections);
        tracing::info!(target: "policy::gateway", connection = self.peer.connection, address = %self.peer.address, participant = found.participant().id(), method = found.method(), "connected");
        let own = HeartBeat { sends: self.shared.limits.heart_beat, wants: self.shared.limits.heart_beat };
        let theirs = HeartBeat::parse(self.connect_headers.get(header::HEART_BEAT)).unwrap_or_default();
        self.sends_every = own.sending_to(theirs);
        let info = self.install(found);
        let mut connected = ConnectedInfo::new(self.connection.reply_to_id().to_owned(), info);
        connected.expires_in_ms = self.expires_in_ms();
        connected.session_id = alias.as_ref().map(|_| uuid::Uuid::new_v4().to_string());
        self.connect_headers = Headers::default();
        acts.push(self.connection.accepted(connected, own, alias));
    }

    fn expires_in_ms(&self) -> Option<u64> {
        u64::try_from(self.left(self.caller.as_ref()?)?.as_millis()).ok()
    }

    /// Makes an authenticated participant the caller of this connection.
    fn install(&mut self, found: Authenticated) -> ParticipantInfo {
        let expires_at = found.expiry();
        let ends = expires_at.and_then(|end| Instant::now().checked_add(self.shared.until(end)));
        let keep = KeepAlive::parse(self.connect_headers.get(header::SESSION_KEEP_ALIVE));
        let own = found.session().map(|session| (session.clone(), keep));
        // A renewal changes nothing about the session that it goes on in.
        let session = self.caller.take().map_or(own, |caller| caller.session);
        let ways = found.ways().clone();
        let participant = Arc::new(found.into_participant());
        if let Some(registration) = &self.registration {
            registration.renew(&participant, &ways);
        }
        let info = ParticipantInfo::from(&*participant);
        let facts = Known {
            ip: Some(IpRange::single(self.peer.address)),
            mfa: participant.mfa(),
            connection: Some("websocket".into()),
            attributes: self.peer.attributes.clone(),
            ..Known::default()
        };
        let context = self.shared.context(participant);
        self.caller = Some(Caller { context, facts, expires_at, ends, session });
        info
    }

    pub(super) fn renew(&mut self, id: CallId, headers: &Headers, acts: &mut Vec<Act>) {
        let pairs = headers.iter().map(|(name, value)| (name, value.as_bytes()));
        let read = Credentials::from_pairs(pairs, Some(self.peer.address), &[]);
        let credentials = match read {
            Ok(credentials) => self.read("RENEW", credentials),
            Err(error) => {
                let error = CallError::new(Code::Unauthenticated, error.to_string());
                return self.outcome(id, Outcome::Failed(error), acts);
            }
        };
        let (shared, events, looked_up) = (self.shared.clone(), self.events.clone(), Instant::now());
        let checking = Running::start(async move {
            let checked = shared.authenticate(&credentials).await;
            let _ = events.send(Event::Renew(id, checked, looked_up)).await;
        });
        self.running.insert(id, checking);
    }

    /// A fresh credential was checked: it must be of the same scope and participant.
    pub(super) fn renewed(&mut self, checked: Checked, looked_up: Instant) -> Outcome {
        let found = match checked {
            Checked::Authenticated(found) => found,
            Checked::Rejected(error) => {
                count(&self.shared.metrics.refused_sign_ins);
                return Outcome::Failed(told(&error.answer()));
            }
            Checked::NotPresented => {
                return Outcome::Failed(CallError::new(Code::Unauthenticated, "no credential was sent"));
            }
        };
        let same = self.caller.as_ref().is_some_and(|caller| {
            let current = caller.context.participant();
            current.id() == found.participant().id() && current.scope() == found.participant().scope()
        });
        if !same || self.shared.sessions.has_changed(found.participant().id(), looked_up) {
            return Outcome::Failed(unauthenticated());
        }
        self.install(*found);
        let expires = self.expires_in_ms().map_or_else(|| "null".to_owned(), |ms| ms.to_string());
        Outcome::Value(format!("{{\"expiresInMs\":{expires}}}").into())
    }
}
