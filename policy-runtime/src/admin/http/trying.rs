//! Endpoints that try and explain: nothing that they do changes a decision.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Asked as Supposed, ListChange, Open, Who};
use super::Api;
use super::answer::{Asked, Body, In, Page, nothing, ok, said};
use super::bodies::{body, query, reply};
use super::handlers::{Answer, Ids, Numbered};
use crate::audit::journal::Filter;
use crate::offline::word;
use crate::security::SecurityContext;
use crate::sets::Shadow;
use crate::shadow::{ListTurn, Turn};

query! {
    /// Which recorded decisions are decided again.
    Replay {
        /// Only of this action.
        action: Option<String>,
        /// Only of this participant: `<scope>/<id>`.
        actor: Option<String>,
        /// From this time on, in milliseconds since 1970.
        from: Option<i64>,
        /// Before this time.
        until: Option<i64>,
    }
}

query! {
    /// Which version it is compared with.
    Compared {
        /// Its number; the active one, if not said; 0 is what the scope began with.
        from: Option<i64>,
    }
}

body! {
    /// A request that is supposed.
    SupposedRequest {
        /// As policy files write it: `participant`, `action`, `arguments`, `resource`, `context`.
        request: Value,
        /// Whether the participant is as it is said to be; otherwise `id` names a stored one.
        #[serde(default)]
        hypothetical: bool,
    }
}

query! {
    /// What somebody would do.
    Sought {
        /// The action's full name.
        action: String,
        /// The `next` of the page before.
        after: Option<String>,
        /// How many items, at most 1000.
        limit: Option<usize>,
    }
}

reply! {
    /// Decisions of one kind that a draft turns.
    TurnReply {
        /// `allow becomes deny` or `deny becomes allow`.
        becomes: &'static str,
        /// What denies.
        rule: String,
        /// The action's full name.
        action: String,
        /// Whose.
        caller: String,
        /// How many.
        count: u64,
        /// The ids of some, where they were recorded.
        decisions: Vec<String>,
    }
}

reply! {
    /// Lists of one kind whose rows a draft changes.
    ListReply {
        /// `narrower`, `wider` or `other`.
        becomes: String,
        /// The policies that ask otherwise.
        rule: String,
        /// The action's full name.
        action: String,
        /// Whose.
        caller: String,
        /// How many.
        count: u64,
        /// What a row is asked that it was not asked before.
        came: BTreeSet<String>,
        /// What it is asked no more.
        went: BTreeSet<String>,
        /// The ids of some, where they were recorded.
        decisions: Vec<String>,
    }
}

reply! {
    /// A draft in shadow.
    ShadowReply {
        /// The version.
        number: i64,
        /// Who put it there.
        actor: String,
        /// When, in milliseconds since 1970.
        since: i64,
        /// How many decisions it was asked about.
        decisions: i64,
        /// What it turns, the most frequent first.
        turns: Vec<TurnReply>,
        /// The lists whose rows it changes, the most frequent first.
        lists: Vec<ListReply>,
    }
}

reply! {
    /// What a draft would have decided otherwise.
    DryRunReply {
        /// How many recorded decisions were looked at.
        looked: usize,
        /// How many were decided again.
        replayed: usize,
        /// What the draft turns.
        turns: Vec<TurnReply>,
        /// The lists whose rows it changes.
        lists: Vec<ListReply>,
        /// Why others cannot be replayed, and how many.
        not_replayed: BTreeMap<String, u64>,
        /// Whether there are more records than are looked at.
        more: bool,
    }
}

reply! {
    /// How two versions differ.
    DifferenceReply {
        /// In words.
        text: String,
        /// Each policy that was added, removed or changed.
        changes: Value,
    }
}

reply! {
    /// Why a supposed request is decided so.
    ExplanationReply {
        /// In words.
        text: String,
        /// `decision`, `tiers`, `denial`, `nearest`.
        explanation: Value,
    }
}

reply! {
    /// Why a decision was made.
    ExplainedReply {
        /// The record: tier, policy, clause, and as personal details the values that it read, but for secrets.
        record: Value,
        /// The policy as it stands now.
        rule: Option<String>,
        /// Whether the policies that decided still do.
        same_policies: bool,
        /// What would be decided about the same now, with the nearest change that opens it.
        now: Option<Value>,
        /// Why that cannot be said.
        not_replayed: Option<String>,
    }
}

reply! {
    /// Whether an action is open.
    MayReply {
        /// The action's full name.
        action: String,
        /// `always`, `depends` or `never`.
        may: &'static str,
        /// The same with a second factor.
        with_mfa: &'static str,
        /// Attributes that rules read and that are not stored: absent here, they may be added at sign-in or later.
        unknown: BTreeSet<String>,
    }
}

reply! {
    /// Somebody to whom an action is open.
    WhoReply {
        /// Its id.
        id: String,
        /// Its scope.
        scope: String,
        /// The address of a user, the name of a key.
        name: String,
        /// Whether it is a key.
        is_key: bool,
        /// `always`, `depends` or `never`.
        may: &'static str,
        /// The same with a second factor.
        with_mfa: &'static str,
        /// Attributes that rules read and that are not stored: absent here, they may be added at sign-in or later.
        unknown: BTreeSet<String>,
    }
}

impl TurnReply {
    fn of(turn: Turn, count: u64, decisions: Vec<String>) -> Self {
        Self { becomes: turn.becomes(), rule: turn.rule, action: turn.action, caller: turn.caller, count, decisions }
    }
}

impl From<(ListTurn, ListChange)> for ListReply {
    fn from((turn, change): (ListTurn, ListChange)) -> Self {
        let (becomes, ListChange { count, decisions, came, went }) = (turn.becomes.to_string(), change);
        Self { becomes, rule: turn.rule, action: turn.action, caller: turn.caller, count, came, went, decisions }
    }
}

fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl From<Shadow> for ShadowReply {
    fn from(shadow: Shadow) -> Self {
        let (turns, lists) = (shadow.turns.into_iter(), shadow.lists.into_iter());
        let list = |(turn, n)| ListReply::from((turn, ListChange { count: number(n), ..ListChange::default() }));
        Self {
            number: shadow.number,
            actor: shadow.actor,
            since: shadow.since,
            decisions: shadow.decisions,
            turns: turns.map(|(turn, n)| TurnReply::of(turn, number(n), Vec::new())).collect(),
            lists: lists.map(list).collect(),
        }
    }
}

impl From<Who> for WhoReply {
    fn from(who: Who) -> Self {
        Self {
            id: who.id,
            scope: who.scope.to_string(),
            name: who.name,
            is_key: who.is_key,
            may: word(who.open.may),
            with_mfa: word(who.open.with_mfa),
            unknown: who.open.unknown,
        }
    }
}

pub(super) async fn shadow(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
) -> Answer {
    said(StatusCode::CREATED, &ShadowReply::from(api.admin.shadow(&cx, &scope, n).await?))
}

pub(super) async fn shadowed(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    ok(&ShadowReply::from(api.admin.shadowed(&cx, &scope).await?))
}

pub(super) async fn end_shadow(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    api.admin.end_shadow(&cx, &scope).await?;
    Ok(nothing())
}

pub(super) async fn dry_run(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
    Asked(asked): Asked<Replay>,
) -> Answer {
    let mut filter = Filter::default();
    (filter.action, filter.actor, filter.from, filter.until) = (asked.action, asked.actor, asked.from, asked.until);
    let run = api.admin.dry_run(&cx, &scope, n, filter).await?;
    ok(&DryRunReply {
        looked: run.looked,
        replayed: run.replayed,
        turns: run.turns.into_iter().map(|(turn, (count, ids))| TurnReply::of(turn, count, ids)).collect(),
        lists: run.lists.into_iter().map(ListReply::from).collect(),
        not_replayed: run.not_replayed,
        more: run.more,
    })
}

pub(super) async fn difference(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
    Asked(asked): Asked<Compared>,
) -> Answer {
    let from = match asked.from {
        Some(from) => from,
        None => api.admin.versions(&cx, &scope).await?.1,
    };
    let (text, mut json) = api.admin.difference(&cx, &scope, from, n).await?;
    ok(&DifferenceReply { text, changes: json.get_mut("changes").map(Value::take).unwrap_or_default() })
}

pub(super) async fn explain(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(asked): Body<SupposedRequest>,
) -> Answer {
    let asked = Supposed { request: asked.request, hypothetical: asked.hypothetical };
    let (text, explanation) = api.admin.explain(&cx, &scope, asked).await?;
    ok(&ExplanationReply { text, explanation })
}

pub(super) async fn explain_decision(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    let found = api.admin.explain_decision(&cx, &scope, &id).await?;
    let (now, not_replayed) = match found.now {
        Ok(now) => (Some(now), None),
        Err(why) => (None, Some(why)),
    };
    let (record, rule, same_policies) = (found.record.to_json(), found.rule, found.same_policies);
    ok(&ExplainedReply { record, rule, same_policies, now, not_replayed })
}

pub(super) async fn may(State(api): State<Api>, cx: SecurityContext, In(scope): In, Path((_, id)): Ids) -> Answer {
    let all = api.admin.may(&cx, &scope, &id).await?.into_iter();
    let reply = |(action, open): (String, Open)| {
        let Open { may, with_mfa, unknown } = open;
        MayReply { action, may: word(may), with_mfa: word(with_mfa), unknown }
    };
    ok(&json!({ "items": all.map(reply).collect::<Vec<_>>() }))
}

pub(super) async fn who(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(asked): Asked<Sought>,
) -> Answer {
    let all = api.admin.who(&cx, &scope, &asked.action).await?.into_iter().map(WhoReply::from).collect();
    let page = Page { after: asked.after, limit: asked.limit };
    ok(&page.of(all, |one: &WhoReply| format!("{}/{}", one.scope, one.id)))
}
