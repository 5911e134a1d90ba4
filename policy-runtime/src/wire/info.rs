//! The JSON that travels beside the values of calls.

use std::collections::BTreeMap;

use policy_core::{Participant, Scope};
use serde::{Deserialize, Serialize};

/// A participant as clients see it.
///
/// ```
/// use policy_runtime::wire::ParticipantInfo;
/// use policy_runtime::{Participant, Scope};
/// let info = ParticipantInfo::from(&Participant::builder(Scope::System, "u-1").build());
/// assert_eq!((info.id.as_str(), info.tier.as_str()), ("u-1", "system"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ParticipantInfo {
    /// The opaque id.
    pub id: String,
    /// `system`, `organization` or `application`.
    #[serde(rename = "type", default)]
    pub tier: String,
    /// The organization, below System.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// The application, in an application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// The tenant within the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// `type`, `email`, `displayName`, `authType`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl From<&Participant> for ParticipantInfo {
    fn from(participant: &Participant) -> Self {
        let scope = participant.scope();
        let tier = match scope {
            Scope::System => "system",
            Scope::Organization(_) => "organization",
            Scope::Application { .. } => "application",
        };
        let mut metadata = BTreeMap::from([
            ("type".to_owned(), "user".to_owned()),
            ("authType".to_owned(), participant.auth_type().to_owned()),
        ]);
        metadata.extend(participant.email().map(|email| ("email".to_owned(), email.to_owned())));
        metadata.extend(participant.display_name().map(|name| ("displayName".to_owned(), name.to_owned())));
        Self {
            id: participant.id().to_owned(),
            tier: tier.to_owned(),
            organization_id: scope.organization_id().map(|id| id.as_str().to_owned()),
            application_id: scope.application_id().map(|id| id.as_str().to_owned()),
            tenant_id: participant.tenant().map(str::to_owned),
            metadata,
            roles: participant.roles().iter().map(ToString::to_string).collect(),
        }
    }
}

/// The `connected-info` of CONNECTED.
///
/// ```
/// use policy_runtime::wire::{ConnectedInfo, ParticipantInfo};
/// use policy_runtime::{Participant, Scope};
/// let info = ParticipantInfo::from(&Participant::builder(Scope::System, "u-1").build());
/// assert_eq!(ConnectedInfo::new("r-1".to_owned(), info).expires_in_ms, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectedInfo {
    /// The scope of this connection's reply addresses.
    pub reply_to_id: String,
    /// Legacy clients want one; it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Who was authenticated.
    pub participant: ParticipantInfo,
    /// How long the credential still lasts; absent if it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

impl ConnectedInfo {
    /// Says who is connected and where its replies go.
    pub fn new(reply_to_id: String, participant: ParticipantInfo) -> Self {
        Self { reply_to_id, session_id: None, participant, expires_in_ms: None }
    }
}

/// The body of an error reply: what machines read.
///
/// ```
/// use policy_runtime::wire::ErrorBody;
/// let body = ErrorBody::new("com.example.NotFound", "no such order");
/// assert_eq!(body.exception_name, "NotFound");
/// assert_eq!(ErrorBody::parse(&serde_json::to_vec(&body).unwrap()), Some(body));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The last part of the class.
    pub exception_name: String,
    /// From the table of codes.
    pub exception_class: String,
    /// The same text as in the `error` header.
    pub error_message: String,
    /// The stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The id of the decision, if a policy refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// What to look for in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How long to wait before trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// Describes a failure.
    pub fn new(exception_class: &str, message: &str) -> Self {
        let name = exception_class.rsplit('.').next().unwrap_or(exception_class);
        Self {
            exception_name: name.to_owned(),
            exception_class: exception_class.to_owned(),
            error_message: message.to_owned(),
            ..Self::default()
        }
    }

    /// Reads the body of an error reply; what is not JSON of this form is passed over.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// The caller for the `sender` header: JSON without the escapes that the npm client reads wrongly (`\n`, `\r`, `\\`).
///
/// ```
/// use policy_runtime::wire::{ParticipantInfo, sender_json};
/// use policy_runtime::{Participant, Scope};
/// let alice = Participant::builder(Scope::System, "u-1").display_name("A\nB").build();
/// assert!(sender_json(&ParticipantInfo::from(&alice)).contains(r"A\u000aB"));
/// ```
pub fn sender_json(info: &ParticipantInfo) -> String {
    let json = serde_json::to_string(info).unwrap_or_default();
    let mut out = String::with_capacity(json.len());
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push_str("\\u000a"),
                Some('r') => out.push_str("\\u000d"),
                Some('\\') => out.push_str("\\u005c"),
                Some(other) => out.extend(['\\', other]),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}
