//! Lists of those whom, of that what and of those actions that a decision allows. Each result is one that evaluates to true.

use std::sync::Arc;

use policy_core::Participant;
use serde_json::{Value, json};

use super::ask::{Members, Named, Refused, Verb};
use super::build::AuthZen;
use super::decide::{Question, failed};
use super::page::{Page, bound};
use crate::json::Json;
use crate::security::SecurityContext;

/// How many candidates are looked up and decided at once.
const BATCH: usize = 256;
/// How many candidates one page may look at; then the search is refused, rather than answered in part.
const SCANNED: usize = 10_000;

/// Results with the id that the next page goes on after, for all but the last page.
struct Found {
    results: Vec<(String, Value)>,
    more: bool,
}

impl Found {
    fn new() -> Self {
        Self { results: Vec::new(), more: false }
    }

    /// Takes a result; `false` when the page was full before.
    fn take(&mut self, page: &Page, id: &str, result: Value) -> bool {
        if self.results.len() >= page.limit {
            self.more = true;
            return false;
        }
        self.results.push((id.to_owned(), result));
        true
    }
}

impl AuthZen {
    pub(super) async fn search_subject(&self, body: &Json, cx: &SecurityContext) -> Result<Value, Refused> {
        let members = Members::of(body)?;
        let (kind, action) = (members.searched("subject")?.kind, members.verb()?);
        let (resource, context) = (members.named("resource")?, members.optional_object("context")?);
        let (page, bound) = self.page("subject", members, body, cx)?;
        let about = self.question_without_subject(&action, &resource, context, cx).await?;
        let (mut found, mut after, mut scanned) = (Found::new(), page.after.clone(), 0);
        'scan: loop {
            let batch = self.subjects.subjects(kind, after.as_deref(), BATCH).await.map_err(|e| failed(&e))?;
            let Some((last, _)) = batch.last() else { break };
            after = Some(last.clone());
            scanned = count(scanned, batch.len())?;
            let mut questions = Vec::with_capacity(batch.len());
            for (_, participant) in &batch {
                let question = self.about(&action, &resource, context, cx)?;
                let participant = Some(Arc::new(participant.clone()));
                questions.push(Ok(Question { participant, resource: about.resource.clone(), ..question }));
            }
            for ((id, _), decision) in batch.iter().zip(self.decisions(&questions, self.policy.clock().now())) {
                let allowed = decision.is_some_and(|d| d.is_allowed());
                if allowed && !found.take(&page, id, json!({ "type": kind, "id": id })) {
                    break 'scan;
                }
            }
        }
        Ok(self.answer(found, &page, &bound))
    }

    pub(super) async fn search_resource(&self, body: &Json, cx: &SecurityContext) -> Result<Value, Refused> {
        let members = Members::of(body)?;
        let (subject, action) = (members.named("subject")?, members.verb()?);
        let (resource, context) = (members.searched("resource")?, members.optional_object("context")?);
        let (page, bound) = self.page("resource", members, body, cx)?;
        let about = self.about(&action, &resource, context, cx)?;
        let Some(participant) = self.subject(&subject).await? else {
            return Ok(self.answer(Found::new(), &page, &bound));
        };
        let (mut found, mut after, mut scanned) = (Found::new(), page.after.clone(), 0);
        'scan: loop {
            let batch =
                self.resources.resources(resource.kind, after.as_deref(), BATCH).await.map_err(|e| failed(&e))?;
            let Some((last, _)) = batch.last() else { break };
            after = Some(last.clone());
            scanned = count(scanned, batch.len())?;
            let mut questions = Vec::with_capacity(batch.len());
            for (id, fields) in &batch {
                let question = self.about(&action, &resource, context, cx)?;
                let resource = about.known.entity.then(|| (id.clone(), Arc::new(fields.clone())));
                questions.push(Ok(Question { participant: Some(participant.clone()), resource, ..question }));
            }
            for ((id, _), decision) in batch.iter().zip(self.decisions(&questions, self.policy.clock().now())) {
                let allowed = decision.is_some_and(|d| d.is_allowed());
                if allowed && !found.take(&page, id, json!({ "type": resource.kind, "id": id })) {
                    break 'scan;
                }
            }
        }
        Ok(self.answer(found, &page, &bound))
    }

    pub(super) async fn search_action(&self, body: &Json, cx: &SecurityContext) -> Result<Value, Refused> {
        let members = Members::of(body)?;
        let (subject, resource) = (members.named("subject")?, members.named("resource")?);
        let context = members.optional_object("context")?;
        let (page, bound) = self.page("action", members, body, cx)?;
        let participant: Option<Arc<Participant>> = self.subject(&subject).await?;
        let after = page.after.as_deref();
        let names: Vec<&str> =
            self.mapping.actions(resource.kind).filter(|name| after.is_none_or(|after| *name > after)).collect();
        let mut questions = Vec::with_capacity(names.len());
        for name in &names {
            let verb = Verb { name, properties: None };
            let question = match self.question_without_subject(&verb, &resource, context, cx).await {
                Err(refused) if refused.status == 500 => return Err(refused),
                question => question,
            };
            questions.push(question.map(|q| Question { participant: participant.clone(), ..q }));
        }
        let mut found = Found::new();
        for (name, decision) in names.iter().zip(self.decisions(&questions, self.policy.clock().now())) {
            let allowed = decision.is_some_and(|d| d.is_allowed());
            if allowed && !found.take(&page, name, json!({ "name": name })) {
                break;
            }
        }
        Ok(self.answer(found, &page, &bound))
    }

    async fn question_without_subject<'s>(
        &'s self,
        action: &Verb<'_>,
        resource: &Named<'_>,
        context: Option<&Json>,
        cx: &SecurityContext,
    ) -> Result<Question<'s>, Refused> {
        let question = self.about(action, resource, context, cx)?;
        let resource = self.resource(&question.known, resource).await?;
        Ok(Question { resource, ..question })
    }

    fn page(
        &self,
        endpoint: &str,
        members: Members<'_>,
        body: &Json,
        cx: &SecurityContext,
    ) -> Result<(Page, String), Refused> {
        let bound = bound(endpoint, cx.participant().uid_id(), body);
        let page = self.pages.read(members.get("page"), &bound, self.policy.clock().now())?;
        Ok((page, bound))
    }

    fn answer(&self, found: Found, page: &Page, bound: &str) -> Value {
        let last = found.results.last().map(|(id, _)| id.clone()).filter(|_| found.more);
        let token = last.and_then(|last| self.pages.token(bound, &last, self.policy.clock().now()));
        let results: Vec<Value> = found.results.into_iter().map(|(_, result)| result).collect();
        if page.asked || token.is_some() {
            let token = token.unwrap_or_default();
            return json!({ "page": { "next_token": token, "count": results.len() }, "results": results });
        }
        json!({ "results": results })
    }
}

fn count(scanned: usize, more: usize) -> Result<usize, Refused> {
    let scanned = scanned + more;
    if scanned > SCANNED {
        return Err(Refused {
            status: 500,
            message: format!("the search would have to look at more than {SCANNED} candidates; narrow it"),
        });
    }
    Ok(scanned)
}
