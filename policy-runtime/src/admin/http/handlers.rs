//! One function for each endpoint: from what was sent to an operation, and from its answer to JSON.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use policy_core::pdp::May;
use policy_core::{Context, Scope};
use serde_json::Value;

use super::super::{Admin, MemberChange};
use super::Api;
use super::answer::{Asked, Body, In, Page, bad, nothing, ok, said, seen, seen_tag, tagged, with_active};
use super::bodies::{
    ActivationReply, ApplicationReply, BundleAsked, CountReply, EffectiveReply, Invitation, KeyReply, NewApplication,
    NewDraft, NewKeyBody, NewManifest, NewOrganization, NewUser, OrganizationReply, RecordsAsked, Removed, Retention,
    ReviewReply, Token, UserChange, UserReply, VerifiedReply, VersionReply, Whoami,
};
use super::once::ShownOnce;
use crate::audit::journal::Anchor;
use crate::code::Code;
use crate::identity::User;
use crate::security::SecurityContext;
use crate::sets::RegisteredManifest;
use crate::sets::bundle::Outcome;
use crate::tower::Problem;

pub(super) type Answer = Result<Response, Problem>;

/// How long a token of [`token`] is good, in seconds.
const TOKEN_S: u32 = 8 * 3_600;

pub(super) fn unfit(text: impl AsRef<str>) -> Problem {
    bad(text.as_ref()).status_of(StatusCode::UNPROCESSABLE_ENTITY)
}

fn organization(id: &str) -> Result<Scope, Problem> {
    // What is no name at all is answered like a name that is not there.
    let missing = || Problem::new(Code::NotFound).detail(&format!("there is no organization `{id}`"));
    Scope::organization(id).map_err(|_| missing())
}

pub(super) async fn whoami(cx: SecurityContext) -> Answer {
    let participant = cx.participant();
    let context = Context { time: cx.policy().clock().now(), facts: cx.facts() };
    let possible = cx.policy().engine().possible(participant, participant.scope(), context);
    let may = possible.into_iter().filter_map(|one| match one.may {
        May::Always => Some((one.action.to_string(), "always")),
        May::Depends => Some((one.action.to_string(), "depends")),
        May::Never => None,
    });
    ok(&Whoami {
        id: participant.id().to_owned(),
        scope: participant.scope().to_string(),
        roles: participant.roles().iter().map(ToString::to_string).collect(),
        email: participant.email().map(str::to_owned),
        auth_type: participant.auth_type().to_owned(),
        mfa: participant.mfa(),
        may: may.collect(),
    })
}

/// Only for a password: a token would otherwise live for ever by being renewed.
pub(super) async fn token(State(api): State<Api>, cx: SecurityContext) -> Answer {
    let issuer = api.issuer.as_ref().filter(|_| cx.participant().auth_type() == "password");
    let refused = || Problem::new(Code::AccessDenied).detail("a token is given for a password");
    let issuer = issuer.ok_or_else(refused)?;
    let user = api.admin.own_user(&cx).await?;
    let amr: &[&str] = if cx.participant().mfa() { &["pwd", "mfa"] } else { &["pwd"] };
    let token = issuer.access_token_for(&user, amr, TOKEN_S).map_err(|_| Problem::new(Code::Internal))?;
    shown_once(ok(&Token { token: token.expose().clone(), expires_in: TOKEN_S }))
}

fn shown_once(answer: Answer) -> Answer {
    let mut response = answer?;
    response.extensions_mut().insert(ShownOnce);
    Ok(response)
}

pub(super) async fn organizations(State(api): State<Api>, cx: SecurityContext, Asked(page): Asked<Page>) -> Answer {
    let all = api.admin.organizations(&cx).await?.into_iter();
    let all = all.map(|one| OrganizationReply { id: one.id.to_string(), suspended: one.suspended }).collect();
    ok(&page.of(all, |one: &OrganizationReply| one.id.clone()))
}

pub(super) async fn create_organization(
    State(api): State<Api>,
    cx: SecurityContext,
    Body(new): Body<NewOrganization>,
) -> Answer {
    let owner = api.admin.create_organization(&cx, &new.id, new.owner.member().map_err(unfit)?).await?;
    said(StatusCode::CREATED, &UserReply::from(owner))
}

pub(super) async fn suspend(State(api): State<Api>, cx: SecurityContext, Path(id): Path<String>) -> Answer {
    organization(&id)?;
    api.admin.suspend_organization(&cx, &id, true).await?;
    Ok(nothing())
}

pub(super) async fn resume(State(api): State<Api>, cx: SecurityContext, Path(id): Path<String>) -> Answer {
    organization(&id)?;
    api.admin.suspend_organization(&cx, &id, false).await?;
    Ok(nothing())
}

pub(super) async fn applications(
    State(api): State<Api>,
    cx: SecurityContext,
    Path(id): Path<String>,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.applications(&cx, &organization(&id)?).await?.into_iter();
    let all = all.map(|app| ApplicationReply { scope: format!("app:{id}/{app}"), id: app.to_string() }).collect();
    ok(&page.of(all, |one: &ApplicationReply| one.id.clone()))
}

pub(super) async fn create_application(
    State(api): State<Api>,
    cx: SecurityContext,
    Path(id): Path<String>,
    Body(new): Body<NewApplication>,
) -> Answer {
    let scope = api.admin.create_application(&cx, &organization(&id)?, &new.id).await?;
    said(StatusCode::CREATED, &ApplicationReply { id: new.id, scope: scope.to_string() })
}

pub(super) async fn retain(State(api): State<Api>, cx: SecurityContext, Body(asked): Body<Retention>) -> Answer {
    let scope = asked.scope.parse().map_err(|error: policy_core::name::NameError| unfit(error.to_string()))?;
    ok(&Removed { removed: api.admin.retain_records(&cx, &scope, asked.before).await? })
}

pub(super) async fn users(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.users(&cx, &scope).await?.into_iter().map(UserReply::from).collect();
    ok(&page.of(all, |one: &UserReply| one.id.clone()))
}

pub(super) async fn add_user(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<NewUser>,
) -> Answer {
    user_reply(StatusCode::CREATED, api.admin.add_user(&cx, &scope, new.member().map_err(unfit)?).await?)
}

pub(super) type Ids = Path<(String, String)>;

pub(super) async fn user(State(api): State<Api>, cx: SecurityContext, In(scope): In, Path((_, id)): Ids) -> Answer {
    user_reply(StatusCode::OK, api.admin.user(&cx, &scope, &id).await?)
}

pub(super) async fn change_user(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
    headers: HeaderMap,
    Body(change): Body<UserChange>,
) -> Answer {
    let change = MemberChange { seen: seen_tag(&headers)?, ..change.change().map_err(unfit)? };
    user_reply(StatusCode::OK, api.admin.change_user(&cx, &scope, &id, change).await?)
}

fn user_reply(status: StatusCode, user: User) -> Answer {
    let tag = Admin::tag(&user);
    tagged(said(status, &UserReply::from(user)), &tag)
}

pub(super) async fn remove_user(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    api.admin.remove_user(&cx, &scope, &id).await?;
    Ok(nothing())
}

pub(super) async fn invite(State(api): State<Api>, cx: SecurityContext, In(scope): In, Path((_, id)): Ids) -> Answer {
    let invitation = api.admin.invite(&cx, &scope, &id).await?;
    shown_once(said(StatusCode::CREATED, &Invitation { invitation: invitation.expose().clone() }))
}

pub(super) async fn remove_second_factor(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    api.admin.remove_second_factor(&cx, &scope, &id).await?;
    Ok(nothing())
}

pub(super) async fn keys(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.keys(&cx, &scope).await?.into_iter().map(KeyReply::from).collect();
    ok(&page.of(all, |one: &KeyReply| one.id.clone()))
}

pub(super) async fn create_key(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<NewKeyBody>,
) -> Answer {
    let (key, record) = api.admin.create_key(&cx, &scope, new.key().map_err(unfit)?).await?;
    shown_once(said(StatusCode::CREATED, &KeyReply { key: Some(key.expose().clone()), ..record.into() }))
}

pub(super) async fn revoke_key(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, id)): Ids,
) -> Answer {
    api.admin.revoke_key(&cx, &scope, &id).await?;
    Ok(nothing())
}

pub(super) async fn versions(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let (all, active) = api.admin.versions(&cx, &scope).await?;
    let all = all.into_iter().map(VersionReply::from).collect();
    let mut found = page.of(all, |one: &VersionReply| one.number.to_string());
    if let Some(found) = found.as_object_mut() {
        found.insert("active".into(), active.into());
        found.insert("before".into(), api.admin.version_before(&cx, &scope).await?.into());
    }
    with_active(ok(&found), active)
}

pub(super) async fn draft(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    headers: HeaderMap,
    Body(new): Body<NewDraft>,
) -> Answer {
    let (source, comment) = new.source().map_err(unfit)?;
    let number = api.admin.draft(&cx, &scope, &source, &comment, seen(&headers)?).await?;
    let version = api.admin.drafted(&scope, number).await?;
    said(StatusCode::CREATED, &VersionReply::from(version))
}

pub(super) type Numbered = Path<(String, i64)>;

pub(super) async fn version(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
) -> Answer {
    ok(&VersionReply::from(api.admin.version(&cx, &scope, n).await?))
}

pub(super) async fn validate(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
) -> Answer {
    let review = api.admin.validate(&cx, &scope, n).await?;
    let active = review.active;
    with_active(ok(&ReviewReply::from(review)), active)
}

pub(super) async fn activate(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, n)): Numbered,
    headers: HeaderMap,
) -> Answer {
    let Some(expected) = seen(&headers)? else {
        let told =
            bad("`If-Match` says which version you have seen as the active one: the `ETag` of the list of versions");
        return Err(told.status_of(StatusCode::PRECONDITION_REQUIRED));
    };
    let done = api.admin.activate(&cx, &scope, n, expected).await?;
    with_active(ok(&ActivationReply::from(done)), n)
}

pub(super) async fn effective(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    let all = api.admin.effective(&cx, &scope).await?.into_iter();
    ok(&all.map(|(id, text)| EffectiveReply { id, text }).collect::<Vec<_>>())
}

pub(super) async fn manifest(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    ok(&api.admin.manifest(&cx, &scope).await?)
}

pub(super) async fn manifests(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.manifests(&cx, &scope).await?.iter().map(RegisteredManifest::to_json).collect();
    let id =
        |one: &Value| ["scope", "hash"].map(|part| one.get(part).and_then(Value::as_str).unwrap_or_default()).join(" ");
    ok(&page.of(all, id))
}

pub(super) async fn register_manifest(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(new): Body<NewManifest>,
) -> Answer {
    let RegisteredManifest { state, hash, broken, closed, .. } =
        api.admin.register_manifest(&cx, &scope, &new.version, &new.manifest).await?;
    ok(&Outcome { state: state.as_str().to_owned(), hash, broken, closed })
}

pub(super) async fn manifest_of(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, hash)): Ids,
) -> Answer {
    let (found, moved) = api.admin.manifest_of(&cx, &scope, &hash).await?;
    let mut found = found.to_json();
    if let Some(members) = found.as_object_mut() {
        members.insert("moved".to_owned(), moved.into());
    }
    ok(&found)
}

pub(super) async fn prune_manifests(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    let removed = api.admin.prune_manifests(&cx, &scope).await?;
    ok(&Value::from(removed.iter().map(RegisteredManifest::to_json).collect::<Vec<_>>()))
}

pub(super) async fn accept_manifest(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, hash)): Ids,
) -> Answer {
    ok(&api.admin.accept_manifest(&cx, &scope, &hash).await?.to_json())
}

pub(super) async fn bundle(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(asked): Asked<BundleAsked>,
) -> Answer {
    // Whoever serves no tokens signs nothing.
    let issuer = api.issuer.as_ref().ok_or_else(|| Problem::new(Code::NotFound))?;
    ok(&api.admin.bundle(&cx, &scope, (&asked.manifest, &asked.nonce), issuer).await?)
}

pub(super) async fn records(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(asked): Asked<RecordsAsked>,
) -> Answer {
    let found = api.admin.records(&cx, &scope, asked.into()).await?;
    let next = found.last().map(|last| last.number);
    let items: Vec<_> = found.iter().map(crate::audit::journal::Stored::to_json).collect();
    ok(&serde_json::json!({ "items": items, "next": next }))
}

/// One page of JSON lines; `Link` names the next one.
pub(super) async fn export(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(asked): Asked<RecordsAsked>,
) -> Answer {
    let found = api.admin.export_records(&cx, &scope, asked.into()).await?;
    let mut lines = String::new();
    for record in &found {
        lines.push_str(&record.to_json().to_string());
        lines.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], lines).into_response())
}

pub(super) async fn counts(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(asked): Asked<RecordsAsked>,
) -> Answer {
    let all = api.admin.counts(&cx, &scope, asked.into()).await?;
    ok(&all.into_iter().map(CountReply::from).collect::<Vec<_>>())
}

pub(super) async fn anchor(State(api): State<Api>, cx: SecurityContext, In(scope): In) -> Answer {
    ok(&api.admin.anchor(&cx, &scope).await?)
}

pub(super) async fn verify(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Body(anchor): Body<Option<Anchor>>,
) -> Answer {
    let found = api.admin.verify_records(&cx, &scope, anchor.as_ref()).await?;
    ok(&VerifiedReply { records: found.records, last: found.last, checkpoint: found.checkpoint })
}
