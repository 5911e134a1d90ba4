//! Whether the caller may, whether somebody would get more than the caller has, and whether anybody could undo it.

use std::collections::BTreeSet;

use policy_core::decision::DenialKind;
use policy_core::pdp::{Engine, May};
use policy_core::{Context, Decision, Facts, Participant, Request, Scope};

use super::{Admin, AdminError};
use crate::audit::{AuditLog as _, Detail, Record, RecordKind};
use crate::code::Code;
use crate::denied::Denied;
use crate::events::{Event, EventKind};
use crate::identity::User;
use crate::security::SecurityContext;

/// What the policies are asked: the action on the platform, or the one on an organization, which governs its applications too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Right {
    system: &'static str,
    organization: &'static str,
}

macro_rules! rights {
    ($($name:ident = $system:literal, $organization:literal;)*) => {
        impl Right {
            $(pub(super) const $name: Self = Self { system: $system, organization: $organization };)*
        }
    };
}

rights! {
    VIEW = "Platform.viewInfrastructure", "Platform.organization.view";
    SETTINGS = "Platform.changePlatformSettings", "Platform.organization.update";
    LIST_ORGANIZATIONS = "Platform.listOrganizations", "Platform.organization.view";
    CREATE_ORGANIZATION = "Platform.createOrganization", "Platform.createOrganization";
    SUSPEND = "Platform.suspendOrganization", "Platform.suspendOrganization";
    RESUME = "Platform.resumeOrganization", "Platform.resumeOrganization";
    INFRASTRUCTURE = "Platform.manageInfrastructure", "Platform.manageInfrastructure";
    LIST_APPLICATIONS = "Platform.listOrganizations", "Platform.applications.list";
    CREATE_APPLICATION = "Platform.createOrganization", "Platform.applications.create";
    UPDATE_APPLICATION = "Platform.changePlatformSettings", "Platform.applications.update";
    LIST_MEMBERS = "Platform.manageOperators", "Platform.members.list";
    INVITE = "Platform.manageOperators", "Platform.members.invite";
    UPDATE_MEMBER = "Platform.manageOperators", "Platform.members.update";
    REMOVE_MEMBER = "Platform.manageOperators", "Platform.members.remove";
    ASSIGN_ROLES = "Platform.manageOperators", "Platform.members.assignRoles";
    REMOVE_SECOND_FACTOR = "Platform.removeOperatorSecondFactor", "Platform.members.removeSecondFactor";
    LIST_KEYS = "Platform.manageSystemKeys", "Platform.keys.list";
    CREATE_KEY = "Platform.manageSystemKeys", "Platform.keys.create";
    ACCEPT_MANIFEST = "Platform.changeSystemPolicies", "Platform.applications.accept";
    REVOKE_KEY = "Platform.manageSystemKeys", "Platform.keys.revoke";
    LIST_POLICIES = "Platform.viewSystemPolicies", "Platform.policies.list";
    DRAFT = "Platform.changeSystemPolicies", "Platform.policies.draft";
    ACTIVATE = "Platform.changeSystemPolicies", "Platform.policies.activate";
    OWN = "Platform.ownSystemPolicies", "Platform.policies.own";
    VIEW_AUDIT = "Platform.viewSystemAudit", "Platform.audit.view";
    EXPORT_AUDIT = "Platform.exportSystemAudit", "Platform.audit.export";
    VERIFY_AUDIT = "Platform.viewSystemAudit", "Platform.audit.verify";
    TRY = "Platform.tryPolicies", "Platform.policies.evaluate";
    EXPLAIN = "Platform.tryPolicies", "Platform.policies.explain";
    SEARCH = "Platform.tryPolicies", "Platform.policies.search";
    LIST_PROVIDERS = "Platform.manageSystemProviders", "Platform.providers.list";
    CONFIGURE_PROVIDER = "Platform.manageSystemProviders", "Platform.providers.configure";
    SHARE_PROVIDER = "Platform.manageSystemProviders", "Platform.providers.share";
    DELETE_PROVIDER = "Platform.manageSystemProviders", "Platform.providers.delete";
    LIST_CONNECTIONS = "Platform.viewSystemObservability", "Platform.connections.list";
    END_SESSIONS = "Platform.manageOperators", "Platform.connections.close";
    OBSERVE = "Platform.viewSystemObservability", "Platform.observability.view";
}

impl Right {
    pub(super) const fn action(self, scope: &Scope) -> &'static str {
        match scope {
            Scope::System => self.system,
            Scope::Organization(_) | Scope::Application { .. } => self.organization,
        }
    }
}

/// The scope whose policies decide about another one's administration.
pub(super) fn governing(scope: &Scope) -> Scope {
    match scope.organization_id() {
        None => Scope::System,
        Some(id) => Scope::Organization(id.clone()),
    }
}

/// A caller who may.
#[derive(Debug)]
#[must_use]
pub(super) struct Permitted {
    pub(super) record: Record,
    pub(super) cx: SecurityContext,
}

impl Permitted {
    /// Names what it is done to.
    pub(super) fn about(mut self, kind: &str, id: &str) -> Self {
        self.record = self.record.about(kind, id);
        self
    }

    /// Says something of what is changed: names, no values.
    pub(super) fn detail(mut self, name: &str, text: String) -> Self {
        self.record = self.record.detail(name, Detail::Plain(text));
        self
    }
}

impl Admin {
    /// Asks the policies; a caller who may not learns whether there is such a scope only if it may look at it.
    pub(super) async fn permit(
        &self,
        cx: &SecurityContext,
        right: Right,
        scope: &Scope,
    ) -> Result<Permitted, AdminError> {
        let permitted = self.ask(cx, right, scope).await?;
        // The policies have decided about the organization; whether the application is there is only told now.
        if let Some(application) = scope.application_id()
            && self.store.scope_of_application(application).await?.as_ref() != Some(scope)
        {
            return Err(missing(scope));
        }
        Ok(permitted)
    }

    async fn ask(&self, cx: &SecurityContext, right: Right, scope: &Scope) -> Result<Permitted, AdminError> {
        let (asked, action) = (governing(scope), right.action(scope));
        let (engine, time) = (self.policy.engine(), self.policy.clock().now());
        let decision = engine.action(action).map(|action| {
            let (participant, context) = (cx.participant(), Context { time, facts: cx.facts() });
            self.policy.decide(&Request { participant, action, scope: &asked, resource: None, context, args: &[] })
        });
        let own = cx.participant().scope();
        let allowed = match &decision {
            Some(Decision::Allow(allowed)) => {
                let record = record(cx, RecordKind::Change, action, scope, time.0).revisions(&allowed.revisions);
                return Ok(Permitted { record, cx: cx.clone() });
            }
            Some(Decision::Deny(_)) | None => {
                *own == asked
                    || is_allowed(engine, cx.participant(), cx.facts(), Right::VIEW.action(scope), &asked, time)
            }
        };
        let denied = Denied::new(Code::AccessDenied);
        // Nobody writes into the records of others, or makes chains by naming scopes.
        let place = if allowed { scope } else { own };
        let mut record = record(cx, RecordKind::Decision, action, place, time.0).decision(denied.id());
        record.outcome = "deny";
        if let Some(Decision::Deny(denial)) = decision {
            let stale = denial.kind == DenialKind::Stale;
            tracing::warn!(target: "policy", decision = denied.id(), action, caller = cx.participant().uid_id(), scope = %asked, "denied: {}", denial.message);
            record = record.denial(&denial);
            self.policy.remember(&denied, *denial);
            if stale {
                return Err(AdminError::Unavailable("the policies cannot be confirmed".into()));
            }
        }
        self.journal.note(&record).await?;
        Err(if allowed { denied.into() } else { missing(scope) })
    }

    /// Makes a change under its record, which is durable before, and on the caller's behalf.
    pub(super) async fn change<T>(
        &self,
        permitted: Permitted,
        work: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, AdminError> {
        let Permitted { record, cx } = permitted;
        self.journal.begin(&record).await?;
        let done = cx.scope(work).await;
        if let Err(error) = &done {
            let failed = record.clone().detail("failed", Detail::Plain(error.code().as_str().to_owned()));
            self.journal.note(&Record { outcome: "deny", ..failed }).await?;
        }
        self.journal.complete(&record, None);
        done
    }

    /// Tells of a change of what is configured outside the store, which is made and recorded by now.
    pub(super) async fn tell(&self, cx: &SecurityContext, what: &str, target: &str, scope: &Scope) {
        self.tell_of(EventKind::ConfigurationChanged, cx, what, target, scope).await;
    }

    pub(super) async fn tell_of(&self, kind: EventKind, cx: &SecurityContext, what: &str, target: &str, scope: &Scope) {
        let event = Event::new(kind, self.policy.clock().now(), cx.actor(), what).target(target).within(scope);
        if let Err(error) = self.events.note(&event).await {
            tracing::error!(target: "policy::admin", %error, ?event, "an event was not taken");
        }
    }

    /// Refuses when a participant of the scope may do something there that the caller may not. What an application's
    /// participants do is not an administrator's to compare: assigning roles there is a right of its own.
    pub(super) fn refuse_beyond(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        holders: &[policy_core::participant::ParticipantBuilder],
    ) -> Result<(), AdminError> {
        if scope.application_id().is_some() {
            return Ok(());
        }
        let (engine, time) = (self.policy.engine(), self.policy.clock().now());
        let caller = engine.possible(cx.participant(), scope, Context { time, facts: cx.facts() });
        for (holder, mfa) in holders.iter().flat_map(|holder| [(holder, false), (holder, true)]) {
            let facts = Facts { mfa, ..cx.facts().clone() };
            let holder = holder.clone().mfa(mfa).build();
            let theirs = engine.possible(&holder, scope, Context { time, facts: &facts });
            let more = caller.iter().zip(&theirs).find(|(own, its)| its.may != May::Never && own.may != May::Always);
            if let Some((_, more)) = more {
                return Err(AdminError::Beyond(format!("`{}` is not yours", more.action)));
            }
        }
        Ok(())
    }

    /// Refuses when somebody could still change the policies of the scope, and afterwards nobody could.
    pub(super) fn refuse_lock_out(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        (before, users): (&Engine, &[User]),
        (after, changed): (&Engine, &[User]),
    ) -> Result<(), AdminError> {
        let time = self.policy.clock().now();
        let facts = Facts { mfa: true, ..cx.facts().clone() };
        let steers = |engine: &Engine, user: &User| {
            let person = user.participant().mfa(true).build();
            let may = |right: Right| is_allowed(engine, &person, &facts, right.action(scope), scope, time);
            user.enabled && may(Right::ACTIVATE) && may(Right::OWN)
        };
        if users.iter().any(|user| steers(before, user)) && !changed.iter().any(|user| steers(after, user)) {
            return Err(AdminError::LockedOut(format!(
                "afterwards nobody could change the policies of `{scope}`: somebody who may sign in must be left with \
                 `{}` and `{}`",
                Right::ACTIVATE.action(scope),
                Right::OWN.action(scope),
            )));
        }
        Ok(())
    }
}

impl Admin {
    /// Refuses when somebody who may change the policies of the scope could sign in by its methods and providers, and nobody could
    /// by these methods, or without one of the providers.
    pub(super) async fn refuse_shut_out(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        methods: Option<&BTreeSet<String>>,
        without: Option<&str>,
    ) -> Result<(), AdminError> {
        if scope.application_id().is_some() {
            return Ok(());
        }
        let on = self.store.methods().await?.into_iter().find(|(own, _)| own == scope).map(|(_, on)| on);
        let references = self.store.references().await?;
        let (mut could, mut can) = (Vec::new(), Vec::new());
        for user in self.store.users(scope).await? {
            let has_password = self.store.password_hash(&user.id).await?.is_some();
            let comes = |on: Option<&BTreeSet<String>>, without: Option<&str>| {
                let is_on = |method| on.is_none_or(|on| on.contains(method));
                let mut used = references.iter().filter(|one| one.scope == *scope);
                has_password && is_on("password")
                    || is_on("token") && used.any(|one| Some(one.configuration.as_str()) != without)
            };
            if comes(on.as_ref(), None) {
                could.push(user.clone());
            }
            if comes(methods.or(on.as_ref().filter(|_| without.is_some())), without) {
                can.push(user);
            }
        }
        let engine = self.policy.engine();
        self.refuse_lock_out(cx, scope, (engine, &could), (engine, &can))
    }
}

pub(super) fn missing(scope: &Scope) -> AdminError {
    match scope {
        Scope::System => AdminError::Missing { what: "scope", name: scope.to_string() },
        Scope::Organization(id) => AdminError::Missing { what: "organization", name: id.to_string() },
        Scope::Application { application, .. } => {
            AdminError::Missing { what: "application", name: application.to_string() }
        }
    }
}

pub(super) fn record(cx: &SecurityContext, kind: RecordKind, action: &str, scope: &Scope, time: i64) -> Record {
    Record::new(kind, time, cx.participant().uid_id(), action, scope.to_string(), "allow")
        .request(cx.facts().request_id.clone())
}

pub(super) fn decide(
    engine: &Engine,
    participant: &Participant,
    facts: &Facts,
    action: &str,
    scope: &Scope,
    time: policy_core::value::Millis,
) -> Option<Decision> {
    let action = engine.action(action)?;
    let context = Context { time, facts };
    Some(engine.decide(&Request { participant, action, scope, resource: None, context, args: &[] }))
}

pub(super) fn is_allowed(
    engine: &Engine,
    participant: &Participant,
    facts: &Facts,
    right: &str,
    scope: &Scope,
    time: policy_core::value::Millis,
) -> bool {
    engine.action(right).is_some_and(|action| {
        let context = Context { time, facts };
        engine.decide(&Request { participant, action, scope, resource: None, context, args: &[] }).is_allowed()
    })
}
