//! The endpoints over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use policy_core::{Context, Request, Scope, Tier};
use serde_json::{Value, json};

use super::ask::{Members, Refused};
use super::build::AuthZen;
use crate::authn::Chain;
use crate::code::Code;
use crate::denied::Denied;
use crate::json::Json;
use crate::security::SecurityContext;
use crate::tower::AuthenticateLayer;

/// The largest body that is read.
const BODY: usize = 1 << 20;
/// The most questions in one body.
const QUESTIONS: usize = 1_000;

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SUBJECT: &str = "/access/v1/search/subject";
const RESOURCE: &str = "/access/v1/search/resource";
const ACTION: &str = "/access/v1/search/action";
const DISCOVERY: &str = "/.well-known/authzen-configuration";

/// What a caller asks to do.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    Evaluation,
    Evaluations,
    Subject,
    Resource,
    Action,
}

impl AuthZen {
    /// The endpoints, for callers that the chain knows. Discovery is open to all.
    pub fn router(self, chain: Chain) -> Router {
        let layer = AuthenticateLayer::new(self.policy.clone(), chain);
        self.router_behind(layer)
    }

    /// The endpoints behind a layer of your own set-up.
    pub fn router_behind(self, layer: AuthenticateLayer) -> Router {
        let this = Arc::new(self);
        let at = |path: &str| format!("{}{path}", this.path);
        let route = |endpoint: Endpoint| {
            let this = Arc::clone(&this);
            post(move |cx: SecurityContext, headers: HeaderMap, body: Bytes| async move {
                this.serve(endpoint, &cx, &headers, &body).await
            })
        };
        let metadata = this.metadata().to_string();
        Router::new()
            .route(&at(EVALUATION), route(Endpoint::Evaluation))
            .route(&at(EVALUATIONS), route(Endpoint::Evaluations))
            .route(&at(SUBJECT), route(Endpoint::Subject))
            .route(&at(RESOURCE), route(Endpoint::Resource))
            .route(&at(ACTION), route(Endpoint::Action))
            .layer(DefaultBodyLimit::max(BODY))
            .route_layer(layer)
            .route(&format!("{DISCOVERY}{}", this.path), get(discovery).with_state(metadata.into()))
            .layer(map_response(as_message))
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "policy_decision_point": self.url,
            "access_evaluation_endpoint": at(EVALUATION),
            "access_evaluations_endpoint": at(EVALUATIONS),
            "search_subject_endpoint": at(SUBJECT),
            "search_resource_endpoint": at(RESOURCE),
            "search_action_endpoint": at(ACTION),
        })
    }

    async fn serve(&self, endpoint: Endpoint, cx: &SecurityContext, headers: &HeaderMap, body: &Bytes) -> Response {
        let answer = match self.as_of_now().await {
            Ok(this) => this.answer_to(endpoint, cx, headers, body).await,
            Err(refused) => Err(refused),
        };
        match answer {
            Ok(answer) => json_response(StatusCode::OK, &answer),
            Err(refused) => {
                let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                json_response(status, &Value::String(refused.message))
            }
        }
    }

    async fn answer_to(
        &self,
        endpoint: Endpoint,
        cx: &SecurityContext,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Value, Refused> {
        self.admit(endpoint, cx)?;
        if !is_json(headers) {
            return Err(Refused::malformed("the body is not `application/json`"));
        }
        let body = Json::parse(body).map_err(|e| Refused::malformed(e.to_string()))?;
        match endpoint {
            Endpoint::Evaluation => self.evaluation(&body, cx).await,
            Endpoint::Evaluations => self.evaluations(&body, cx).await,
            Endpoint::Subject => searched(self.search_subject(&body, cx).await),
            Endpoint::Resource => searched(self.search_resource(&body, cx).await),
            Endpoint::Action => searched(self.search_action(&body, cx).await),
        }
    }

    /// Asks the policies whether the caller may ask.
    fn admit(&self, endpoint: Endpoint, cx: &SecurityContext) -> Result<(), Refused> {
        let application = || self.application.clone();
        let organization =
            || self.application.organization_id().map_or(Scope::System, |id| Scope::Organization(id.clone()));
        let search = matches!(endpoint, Endpoint::Subject | Endpoint::Resource | Endpoint::Action);
        let (action, scope) = match (cx.participant().scope().tier(), search) {
            (Tier::Application, false) => ("Platform.decisions.evaluate", application()),
            (Tier::Application, true) => ("Platform.decisions.search", application()),
            (Tier::System | Tier::Organization, false) => ("Platform.policies.evaluate", organization()),
            (Tier::System | Tier::Organization, true) => ("Platform.policies.search", organization()),
        };
        let engine = self.engine();
        let decision = engine.action(action).map(|action| {
            engine.decide(&Request {
                participant: cx.participant(),
                action,
                scope: &scope,
                resource: None,
                context: Context { time: self.policy.clock().now(), facts: cx.facts() },
                args: &[],
            })
        });
        let denied = Denied::new(Code::AccessDenied);
        match decision {
            Some(policy_core::Decision::Allow(_)) => return Ok(()),
            Some(policy_core::Decision::Deny(denial)) => {
                tracing::warn!(target: "policy", decision = denied.id(), action, caller = cx.participant().id(), "denied: {}", denial.message);
                self.policy.remember(&denied, *denial);
            }
            None => {
                tracing::error!(target: "policy", decision = denied.id(), action, "denied: there is no such action");
            }
        }
        Err(Refused { status: 403, message: format!("the caller may not ask here ({})", denied.id()) })
    }

    async fn evaluation(&self, body: &Json, cx: &SecurityContext) -> Result<Value, Refused> {
        let ask = Members::of(body)?.ask()?;
        let question = self.question(&ask, cx).await;
        if let Err(refused) = &question
            && refused.status == 500
        {
            return Err(refused.clone());
        }
        let verdicts = self.decide(&[question], cx).await;
        verdicts.first().map(super::decide::Verdict::to_json).ok_or_else(Refused::internal)
    }

    async fn evaluations(&self, body: &Json, cx: &SecurityContext) -> Result<Value, Refused> {
        let members = Members::of(body)?;
        let items = match members.get("evaluations") {
            None => return self.evaluation(body, cx).await,
            Some(Json::List(items)) if items.is_empty() => return self.evaluation(body, cx).await,
            Some(Json::List(items)) => items,
            Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_)) => {
                return Err(Refused::malformed("`evaluations` is not an array"));
            }
        };
        if items.len() > QUESTIONS {
            return Err(Refused::malformed(format!("`evaluations` has more than {QUESTIONS} items")));
        }
        if items.iter().any(|item| !matches!(item, Json::Object(_))) {
            return Err(Refused::malformed("an item of `evaluations` is not an object"));
        }
        let stop_at = semantic(members)?;
        let mut questions = Vec::with_capacity(items.len());
        for item in items {
            questions.push(match Members::under(item, body).ask() {
                Ok(ask) => self.question(&ask, cx).await,
                Err(refused) => Err(refused),
            });
        }
        let mut answers = Vec::with_capacity(questions.len());
        for verdict in self.decide(&questions, cx).await {
            answers.push(verdict.to_json());
            if stop_at == Some(verdict.allowed) {
                break;
            }
        }
        Ok(json!({ "evaluations": answers }))
    }
}

/// The decision after which no further answers are given.
fn semantic(members: Members<'_>) -> Result<Option<bool>, Refused> {
    let options = members.optional_object("options")?;
    match options.and_then(|options| options.get("evaluations_semantic")) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => match text.as_str() {
            "execute_all" => Ok(None),
            "deny_on_first_deny" => Ok(Some(false)),
            "permit_on_first_permit" => Ok(Some(true)),
            _ => Err(Refused::malformed(
                "`options.evaluations_semantic` is none of `execute_all`, `deny_on_first_deny`, `permit_on_first_permit`",
            )),
        },
        Some(Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
            Err(Refused::malformed("`options.evaluations_semantic` is not a string"))
        }
    }
}

/// A search for what nobody declared is a request that cannot be right.
fn searched(answer: Result<Value, Refused>) -> Result<Value, Refused> {
    answer.map_err(|refused| if refused.status == 404 { Refused::malformed(refused.message) } else { refused })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn discovery(State(metadata): State<Arc<str>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], metadata.to_string()).into_response()
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body.to_string())
        .into_response()
}

/// The specification wants a message where elsewhere we answer with problem details.
async fn as_message(response: Response) -> Response {
    let status = response.status();
    let json = HeaderValue::from_static("application/json");
    if status.is_success() || response.headers().get(header::CONTENT_TYPE) == Some(&json) {
        return response;
    }
    let message = match status {
        StatusCode::UNAUTHORIZED => "the caller is not authenticated",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        status => status.canonical_reason().unwrap_or("the request is refused"),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, json);
    Response::from_parts(parts, Body::from(Value::from(message).to_string()))
}
