//! Why something was decided, what somebody may do, and who may do something.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::pdp::{Engine, May};
use policy_core::value::ValueRef;
use policy_core::{Context, Facts, Request, Scope};
use serde_json::Value;

use super::decide::{Right, governing};
use super::keys::holder;
use super::trying::recorded;
use super::{Admin, AdminError};
use crate::audit::journal::{Filter, Stored};
use crate::identity::User;
use crate::offline::{Hypothetical, told};
use crate::security::SecurityContext;

/// A decision that was recorded, and why it was made.
///
/// ```
/// use policy_runtime::admin::Explained;
/// fn told(explained: &Explained) -> String {
///     format!("{:?}\n{:?}", explained.rule, explained.now)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explained {
    /// The record: tier, policy and clause among its details; values among its personal ones, but for secrets.
    pub record: Stored,
    /// The policy that decided, as it stands in its set now.
    pub rule: Option<String>,
    /// Whether the sets that decided are those that decide now.
    pub same_policies: bool,
    /// What would be decided about the same now, why, and the nearest change that opens it; or why that cannot be said.
    pub now: Result<Value, String>,
}

/// Somebody of a scope, and whether something is open to it.
///
/// ```
/// use policy_runtime::May;
/// use policy_runtime::admin::Who;
/// fn is_sure(who: &Who) -> bool {
///     who.open.may == May::Always
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Who {
    /// Its id: of a user, or of the one that a key stands for.
    pub id: String,
    /// Its scope.
    pub scope: Scope,
    /// The address of a user, the name of a key.
    pub name: String,
    /// Whether it is a key.
    pub is_key: bool,
    /// Whether it is open.
    pub open: Open,
}

/// Whether something is open to somebody.
///
/// ```
/// use policy_runtime::May;
/// use policy_runtime::admin::Open;
/// fn is_sure(open: &Open) -> bool {
///     open.may == May::Always && open.unknown.is_empty()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// Whether it is open without a second factor, whatever the arguments are.
    pub may: May,
    /// The same with a second factor.
    pub with_mfa: May,
    /// Attributes that rules read and that are not stored: absent here, they may be added at sign-in or by an attribute source.
    pub unknown: BTreeSet<String>,
}

impl Open {
    /// Whether nothing opens it, attributes that may be added included.
    fn is_out(&self) -> bool {
        (self.may, self.with_mfa) == (May::Never, May::Never) && self.unknown.is_empty()
    }
}

/// A request that is supposed, to be explained.
///
/// ```
/// use policy_runtime::admin::Asked;
/// let request = serde_json::json!({ "participant": { "id": "u-1" }, "action": "Platform.keys.create" });
/// let asked = Asked { request, hypothetical: false };
/// # drop(asked);
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks says all of it")]
pub struct Asked {
    /// In the form of `docs/policy-files.md`.
    pub request: Value,
    /// Whether the participant is as it is said to be; otherwise it is a stored one, of whom only `id` and `mfa` are said.
    pub hypothetical: bool,
}

impl Admin {
    /// Explains a decision that was recorded in a scope.
    ///
    /// # Errors
    /// When the caller may not explain, or there is no record of such a decision.
    pub async fn explain_decision(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        decision: &str,
    ) -> Result<Explained, AdminError> {
        let _ = self.permit(cx, Right::EXPLAIN, scope).await?;
        let filter = Filter::scope(&scope.to_string()).decision(decision).limit(1);
        let missing = || AdminError::Missing { what: "recorded decision", name: decision.to_owned() };
        let record = self.journal.query(&filter).await?.into_iter().next().ok_or_else(missing)?;
        let engine = &*self.sets.decider(&self.policy, scope, &record.action).await?;
        let body: Value = serde_json::from_str(&record.body).unwrap_or_default();
        let policy = body.get("details").and_then(|details| details.get("policy")).and_then(Value::as_str);
        let revisions = engine.revisions(scope).map(|revision| Value::from(revision.to_string()));
        let same_policies = body.get("revisions").and_then(Value::as_array).is_some_and(|then| **then == revisions);
        let now = recorded(engine, &record).map(|asked| asked.ask(|request| told(engine, request).json));
        Ok(Explained { rule: policy.and_then(|id| text_of(engine, scope, id)), record, same_policies, now })
    }

    /// Decides a supposed request and explains it: tiers, policies, clauses and values, and the nearest change that opens it. In
    /// words and as data.
    ///
    /// # Errors
    /// When the caller may not explain, it is no request about the scope, or the participant is none of the organization's.
    pub async fn explain(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        asked: Asked,
    ) -> Result<(String, Value), AdminError> {
        let _ = self.permit(cx, Right::EXPLAIN, scope).await?;
        let Value::Object(mut all) = asked.request else {
            return Err(AdminError::Invalid("`request` is no object".into()));
        };
        all.entry("scope").or_insert_with(|| scope.to_string().into());
        let mut stored = None;
        if !asked.hypothetical {
            let who = all.get("participant").and_then(Value::as_object);
            let id = who.filter(|who| who.keys().all(|name| name == "id" || name == "mfa"));
            let id = id.and_then(|who| who.get("id")).and_then(Value::as_str).ok_or_else(|| {
                let told = "`participant` says an `id` and perhaps `mfa`; one that is supposed needs `hypothetical`";
                AdminError::Invalid(told.into())
            })?;
            stored = Some(self.somebody(scope, id).await?);
        }
        let action = all.get("action").and_then(Value::as_str).unwrap_or_default();
        let engine = &*self.sets.decider(&self.policy, scope, action).await?;
        let text = Value::Object(all).to_string();
        let read = Hypothetical::parse(&text, engine.registry(), self.now());
        let mut read = read.map_err(|wrong| AdminError::Invalid(wrong.message))?;
        if read.scope() != scope {
            return Err(AdminError::Invalid(format!("the request is about `{}`, not `{scope}`", read.scope())));
        }
        if let Some(user) = stored {
            let mfa = read.participant().mfa();
            read = read.of(user.participant().mfa(mfa).build());
        }
        let report = read.ask(|request| told(engine, request));
        Ok((report.text, report.json))
    }

    /// What a user may do in a scope, as far as it can be told without arguments; each action with and without a second factor.
    ///
    /// # Errors
    /// When the caller may not search, or the user is none of the organization's.
    pub async fn may(
        &self,
        cx: &SecurityContext,
        scope: &Scope,
        user: &str,
    ) -> Result<BTreeMap<String, Open>, AdminError> {
        let _ = self.permit(cx, Right::SEARCH, scope).await?;
        let user = self.somebody(scope, user).await?;
        let mut found = BTreeMap::new();
        for engine in self.sets.deciders(&self.policy, scope).await? {
            let engine: &Engine = &engine;
            let [plain, with_mfa] = [false, true].map(|mfa| {
                let (participant, facts) = (user.participant().mfa(mfa).build(), Facts { mfa, ..Facts::default() });
                let context = Context { time: self.now(), facts: &facts };
                let all = engine.possible(&participant, scope, context).into_iter().filter_map(|one| {
                    let action = engine.registry().number(one.action)?;
                    let request =
                        Request { participant: &participant, action, scope, resource: None, context, args: &[] };
                    Some((one.action.to_string(), one.may, unknown(engine, &request)))
                });
                all.collect::<Vec<_>>()
            });
            for ((action, may, unknown), (_, with_mfa, _)) in plain.into_iter().zip(with_mfa) {
                found.entry(action).or_insert(Open { may, with_mfa, unknown });
            }
        }
        Ok(found)
    }

    /// Who may do something in a scope: its users and keys, and those of its organization, whom it may be open to.
    ///
    /// # Errors
    /// When the caller may not search, or there is no such action.
    pub async fn who(&self, cx: &SecurityContext, scope: &Scope, action: &str) -> Result<Vec<Who>, AdminError> {
        let _ = self.permit(cx, Right::SEARCH, scope).await?;
        let engine = &*self.sets.decider(&self.policy, scope, action).await?;
        let missing = || AdminError::Missing { what: "action", name: action.to_owned() };
        let id = engine.action(action).ok_or_else(missing)?;
        let params = engine.registry().action(id).map_or(0, |entry| entry.params.len());
        let args = vec![ValueRef::Absent; params];
        let ask = |user: &User, mfa: bool| {
            let (participant, facts) = (user.participant().mfa(mfa).build(), Facts { mfa, ..Facts::default() });
            let context = Context { time: self.now(), facts: &facts };
            let request =
                Request { participant: &participant, action: id, scope, resource: None, context, args: &args };
            (engine.may(&request), unknown(engine, &request))
        };
        let mut all = Vec::new();
        let own = governing(scope);
        for home in std::iter::once(&own).chain((own != *scope).then_some(scope)) {
            let users = self.store.users(home).await?.into_iter().filter(|user| user.enabled).map(|user| {
                let name = user.email.clone().unwrap_or_default();
                (user, name, false)
            });
            let keys = self.store.keys(home).await?.into_iter().filter(|key| key.enabled);
            let keys = keys.map(|key| (holder(&key), key.name, true));
            for (user, name, is_key) in users.chain(keys) {
                let ((may, unknown), (with_mfa, _)) = (ask(&user, false), ask(&user, true));
                let open = Open { may, with_mfa, unknown };
                if !open.is_out() {
                    all.push(Who { id: user.id, scope: home.clone(), name, is_key, open });
                }
            }
        }
        all.sort_by(|a, b| (&a.scope, &a.id).cmp(&(&b.scope, &b.id)));
        Ok(all)
    }

    /// A user of the scope or of its organization; others are not there.
    async fn somebody(&self, scope: &Scope, id: &str) -> Result<User, AdminError> {
        let meant = |user: &User| user.scope == *scope || user.scope == governing(scope);
        let found = self.store.user(id).await?.filter(meant);
        found.ok_or_else(|| AdminError::Missing { what: "user", name: id.to_owned() })
    }
}

fn unknown(engine: &Engine, request: &Request<'_>) -> BTreeSet<String> {
    engine.unknown_of(request).iter().map(ToString::to_string).collect()
}

/// A policy as it stands in the sets that decide for a scope. Those of the tiers above are their own affair.
fn text_of(engine: &Engine, scope: &Scope, id: &str) -> Option<String> {
    let of = |scope: &Scope| engine.cedar_of(scope).into_iter().find(|(known, _)| **known == *id).map(|(_, text)| text);
    of(scope).or_else(|| of(&governing(scope)))
}
