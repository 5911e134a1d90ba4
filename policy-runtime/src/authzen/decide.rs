//! From what is asked to decisions: names become participants, actions and entities; then every tier is asked.

use std::sync::Arc;

use policy_core::value::{Millis, Value, ValueRef};
use policy_core::{Context, Decision, Facts, Participant, Request, Resource, Scope};
use serde_json::json;

use super::ask::{Ask, Named, Refused, Verb};
use super::build::AuthZen;
use super::catalog::{Fields, LookupError};
use super::mapping::Known;
use crate::audit::{Detail, Record, RecordKind};
use crate::code::Code;
use crate::denied::Denied;
use crate::json::Json;
use crate::security::SecurityContext;
use crate::typed::{Mismatch, fields, read, record_of};

/// An answer to one question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    /// What the caller is told beside the decision.
    context: Option<serde_json::Value>,
}

impl Verdict {
    const ALLOW: Self = Self { allowed: true, context: None };

    fn deny(id: &str) -> Self {
        Self { allowed: false, context: Some(json!({ "id": id })) }
    }

    /// A question that could not be put: it is denied, and says what is wrong with it.
    pub(super) fn failed(refused: &Refused) -> Self {
        let error = json!({ "status": refused.status, "message": refused.message });
        Self { allowed: false, context: Some(json!({ "error": error })) }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.context {
            Some(context) => json!({ "decision": self.allowed, "context": context }),
            None => json!({ "decision": self.allowed }),
        }
    }
}

/// A question whose names have been looked up.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// `None` for a subject that is not there: it is refused like any other.
    pub(super) participant: Option<Arc<Participant>>,
    pub(super) known: Known<'a>,
    pub(super) resource: Option<(String, Arc<Fields>)>,
    pub(super) args: Vec<Option<Value>>,
    pub(super) facts: Facts,
}

impl Question<'_> {
    fn request<'q>(
        &'q self,
        participant: &'q Participant,
        scope: &'q Scope,
        args: &'q [ValueRef<'q>],
        context: Context<'q>,
    ) -> Request<'q> {
        Request {
            participant,
            action: self.known.action,
            scope,
            resource: self.resource.as_ref().map(|(id, fields)| Resource { id, attributes: &**fields }),
            context,
            args,
        }
    }

    fn facts_of(&self, participant: &Participant) -> Facts {
        Facts { mfa: participant.mfa(), ..self.facts.clone() }
    }

    fn args(&self) -> Vec<ValueRef<'_>> {
        self.args.iter().map(|arg| arg.as_ref().map_or(ValueRef::Absent, Value::as_ref)).collect()
    }
}

impl AuthZen {
    /// Looks up what a question names.
    pub(super) async fn question<'s>(&'s self, ask: &Ask<'_>, cx: &SecurityContext) -> Result<Question<'s>, Refused> {
        let mut question = self.about(&ask.action, &ask.resource, ask.context, cx)?;
        question.resource = self.resource(&question.known, &ask.resource).await?;
        question.participant = self.subject(&ask.subject).await?;
        Ok(question)
    }

    /// A question without its subject and its resource.
    pub(super) fn about<'s>(
        &'s self,
        action: &Verb<'_>,
        resource: &Named<'_>,
        context: Option<&Json>,
        cx: &SecurityContext,
    ) -> Result<Question<'s>, Refused> {
        let found = self.mapping.find(self.engine().registry(), resource.kind, action.name);
        let known = found.ok_or_else(|| {
            let (name, kind) = (short(action.name), short(resource.kind));
            Refused::unknown(format!("there is no action `{name}` on resources of type `{kind}`"))
        })?;
        let args = self.args(&known, action)?;
        let facts = self.facts(&known, context, cx)?;
        Ok(Question { participant: None, known, resource: None, args, facts })
    }

    pub(super) async fn subject(&self, subject: &Named<'_>) -> Result<Option<Arc<Participant>>, Refused> {
        let found = self.subjects.subject(subject.kind, subject.id).await.map_err(|e| failed(&e))?;
        Ok(found.map(Arc::new))
    }

    /// What is known of an entity; what the request says fills in what is not, if it is believed.
    pub(super) async fn resource(
        &self,
        known: &Known<'_>,
        resource: &Named<'_>,
    ) -> Result<Option<(String, Arc<Fields>)>, Refused> {
        if !known.entity {
            return Ok(None);
        }
        let stored = self.resources.resource(resource.kind, resource.id).await.map_err(|e| failed(&e))?;
        let mut all = match resource.properties {
            Some(properties) if self.believes_properties => {
                let root = known.entry.env.roots.iter().find(|r| r.root == policy_core::ir::Root::Resource);
                let record = root.and_then(|root| record_of(root.ty.as_ref()));
                record.map(|record| fields(properties, record, "resource.properties")).transpose().map_err(wrong)?
            }
            _ => None,
        }
        .unwrap_or_default();
        all.extend(stored.unwrap_or_default());
        Ok(Some((resource.id.to_owned(), Arc::new(all))))
    }

    fn args(&self, known: &Known<'_>, action: &Verb<'_>) -> Result<Vec<Option<Value>>, Refused> {
        let said = action.properties.filter(|_| self.believes_properties);
        let params = known.entry.params.iter();
        params
            .map(|(name, ty)| match (ty, said.and_then(|said| said.get(name))) {
                (Some(ty), Some(value)) => read(value, &ty.kind, &format!("action.properties.{name}")).map_err(wrong),
                (_, _) => Ok(None),
            })
            .collect()
    }

    fn facts(&self, known: &Known<'_>, context: Option<&Json>, cx: &SecurityContext) -> Result<Facts, Refused> {
        let mut facts = Facts { request_id: cx.facts().request_id.clone(), ..Facts::default() };
        if let Some(Json::Object(members)) = context.filter(|_| self.believes_context) {
            for (name, value) in members {
                let kind = known.entry.env.inferred.get(&("context".into(), name.as_str().into()));
                if let Some(kind) = kind
                    && let Some(value) = read(value, kind, &format!("context.{}", short(name))).map_err(wrong)?
                {
                    facts.attributes.insert(name, value);
                }
            }
        }
        Ok(facts)
    }

    /// Decides all questions under one snapshot of all sets.
    pub(super) async fn decide(
        &self,
        questions: &[Result<Question<'_>, Refused>],
        cx: &SecurityContext,
    ) -> Vec<Verdict> {
        let mut out: Vec<Option<Verdict>> = Vec::with_capacity(questions.len());
        let now = self.policy.clock().now();
        let decided = self.decisions(questions, now);
        for (question, decision) in questions.iter().zip(decided) {
            out.push(match (question, decision) {
                (Err(refused), _) => Some(Verdict::failed(refused)),
                (Ok(question), Some(decision)) => Some(self.verdict(question, decision, cx, now).await),
                (Ok(_), None) => None,
            });
        }
        out.into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::deny(Denied::new(Code::AccessDenied).id())))
            .collect()
    }

    /// The decisions themselves; `None` where there is nobody to decide about.
    pub(super) fn decisions(&self, questions: &[Result<Question<'_>, Refused>], now: Millis) -> Vec<Option<Decision>> {
        let scope = &self.application;
        let whole: Vec<Option<(&Question<'_>, &Participant)>> =
            questions.iter().map(|q| q.as_ref().ok().and_then(|q| Some((q, &**q.participant.as_ref()?)))).collect();
        let args: Vec<Vec<ValueRef<'_>>> = whole.iter().flatten().map(|(q, _)| q.args()).collect();
        let facts: Vec<Facts> = whole.iter().flatten().map(|(q, participant)| q.facts_of(participant)).collect();
        let requests: Vec<Request<'_>> = whole
            .iter()
            .flatten()
            .zip(args.iter().zip(&facts))
            .map(|((q, participant), (args, facts))| q.request(participant, scope, args, Context { time: now, facts }))
            .collect();
        let decided = self.engine().decide_all(&requests);
        if self.is_own() {
            requests.iter().zip(&decided).for_each(|(request, decision)| self.policy.cast_shadow(request, decision));
        }
        let mut decided = decided.into_iter();
        whole.iter().map(|asked| asked.and_then(|_| decided.next())).collect()
    }

    async fn verdict(&self, question: &Question<'_>, decision: Decision, cx: &SecurityContext, now: Millis) -> Verdict {
        let Some(participant) = &question.participant else {
            return Verdict::deny(Denied::new(Code::AccessDenied).id());
        };
        match decision {
            Decision::Allow(allowed) => {
                let must = self.must_audit(question.known.entry);
                let name = &question.known.entry.name;
                if !must && !cx.audit().is_some_and(|log| log.wants(name, true)) {
                    return Verdict::ALLOW;
                }
                let record = self.record(question, participant, cx, now, "allow").revisions(&allowed.revisions);
                let written = match cx.audit() {
                    Some(log) if must => log.begin(&record).await.map_err(|e| e.to_string()),
                    Some(log) => log.note(&record).await.map_err(|e| e.to_string()),
                    None => Err("there is no audit log".to_owned()),
                };
                match written {
                    Ok(()) => {
                        if let Some(log) = cx.audit().filter(|_| must) {
                            log.complete(&record, None);
                        }
                        Verdict::ALLOW
                    }
                    Err(why) => {
                        let denied = Denied::new(Code::AuditUnavailable);
                        tracing::error!(target: "policy", decision = denied.id(), action = &*record.action, "denied: the audit record is required and {why}");
                        Verdict::deny(denied.id())
                    }
                }
            }
            Decision::Deny(denial) => {
                let denied = Denied::new(Code::AccessDenied);
                tracing::info!(
                    target: "policy",
                    decision = denied.id(),
                    action = %question.known.entry.name,
                    participant = participant.id(),
                    caller = cx.participant().id(),
                    "answered with a denial: {}",
                    denial.message,
                );
                if let Some(log) = cx.audit()
                    && log.wants(&question.known.entry.name, false)
                {
                    let record =
                        self.record(question, participant, cx, now, "deny").decision(denied.id()).denial(&denial);
                    if let Err(error) = log.note(&record).await {
                        tracing::error!(target: "policy", decision = denied.id(), %error, "a denial is not in the audit");
                    }
                }
                let verdict = Verdict::deny(denied.id());
                self.policy.remember(&denied, *denial);
                verdict
            }
        }
    }

    fn record(
        &self,
        question: &Question<'_>,
        participant: &Participant,
        cx: &SecurityContext,
        now: Millis,
        outcome: &'static str,
    ) -> Record {
        let entry = question.known.entry;
        let scope = self.application.to_string();
        let record =
            Record::new(RecordKind::Decision, now.0, participant.uid_id(), entry.name.to_string(), scope, outcome)
                .request(cx.facts().request_id.clone())
                .detail("askedBy", Detail::Plain(cx.participant().uid_id().to_owned()));
        let record = match &question.resource {
            Some((id, _)) => record.about(&entry.resource, id),
            None => record,
        };
        if !cx.audit().is_some_and(|log| log.wants_inputs()) {
            return record;
        }
        let (args, facts) = (question.args(), question.facts_of(participant));
        let context = Context { time: now, facts: &facts };
        record.inputs(&question.request(participant, &self.application, &args, context), entry)
    }
}

pub(super) fn failed(error: &LookupError) -> Refused {
    tracing::error!(target: "policy", %error, "a subject or a resource could not be looked up");
    Refused::internal()
}

fn wrong(mismatch: Mismatch) -> Refused {
    Refused::malformed(mismatch.0)
}

/// A name as a message shows it, however long it was.
fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
