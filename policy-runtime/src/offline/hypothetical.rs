//! A request that nobody made: who, what, on what, with which data, as somebody wrote it.
//!
//! In: YAML or JSON. Out: [`Hypothetical`], of the kinds that the rules were checked against. Absent: stored data; all of it is
//! supposed.

use policy_core::check::RootType;
use policy_core::ir::Root;
use policy_core::kind::{Kind, RecordType};
use policy_core::name::nearest;
use policy_core::registry::{ActionEntry, Registry};
use policy_core::request::ActionId;
use policy_core::value::{Millis, Value, ValueRef};
use policy_core::{Context, Facts, Participant, Request, Resource, Scope, Tier};

use super::part::Part;
use super::plain::{self, Plain, Wrong};
use crate::json::Json;
use crate::typed::{Fields, Mismatch, read, record_of};

/// A request with all its data.
///
/// ```
/// use policy_core::pdp::Engine;
/// use policy_core::registry::Registry;
/// use policy_runtime::offline::Hypothetical;
/// use policy_runtime::value::Millis;
///
/// let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// let text = "participant: { id: ann, roles: [operator] }\naction: Platform.createOrganization\ncontext: { mfa: true }";
/// let asked = Hypothetical::parse(text, engine.registry(), Millis(0)).unwrap();
/// assert!(asked.ask(|request| engine.decide(request).is_allowed()));
/// ```
#[derive(Debug, Clone)]
pub struct Hypothetical {
    participant: Participant,
    action: ActionId,
    scope: Scope,
    resource: Option<(String, Part)>,
    facts: Facts,
    time: Millis,
    args: Vec<Option<Part>>,
    said_arguments: bool,
    unabridged: bool,
}

const MEMBERS: [&str; 6] = ["participant", "action", "scope", "resource", "context", "arguments"];
const PARTICIPANT: [&str; 10] =
    ["id", "scope", "roles", "mfa", "email", "displayName", "tenant", "authType", "subject", "attributes"];
const RESOURCE: [&str; 2] = ["id", "attributes"];

impl Hypothetical {
    /// Reads a request. A time that it does not say is `now`.
    ///
    /// # Errors
    /// When it is not of the form of a request, or names what the program does not declare.
    pub fn parse(text: &str, registry: &Registry, now: Millis) -> Result<Self, Wrong> {
        let Plain(json) = plain::parse(text)?;
        Self::read(&json, registry, now)
    }

    /// Reads what a record has of a decision; a rule that reads what it withholds cannot be decided.
    ///
    /// # Errors
    /// As [`Hypothetical::parse`].
    #[cfg(feature = "admin")]
    pub(crate) fn recorded(text: &str, registry: &Registry) -> Result<Self, Wrong> {
        let Plain(mut json) = plain::parse(text)?;
        let withheld = if let Json::Object(all) = &mut json { all.remove("withheld") } else { None };
        let withheld = withheld.as_ref().and_then(Json::as_list).unwrap_or_default();
        let mut read = Self::read(&json, registry, Millis(0))?;
        let mut own = Part::Tree(std::collections::BTreeMap::new());
        for path in withheld.iter().filter_map(Json::as_text) {
            let parts: Vec<&str> = path.split('.').collect();
            let part = match parts.as_slice() {
                ["arguments", name, rest @ ..] => {
                    let params = registry.action(read.action).map(|entry| entry.params.as_slice()).unwrap_or_default();
                    let at = params.iter().position(|(known, _)| **known == **name);
                    at.and_then(|at| read.args.get_mut(at)).map(|arg| (arg.get_or_insert(Part::Withheld), rest))
                }
                ["resource", "attributes", rest @ ..] => read.resource.as_mut().map(|(_, part)| (part, rest)),
                ["participant", "attributes", rest @ ..] => Some((&mut own, rest)),
                _ => None,
            };
            let (part, rest) = part.ok_or_else(|| Wrong::new(format!("`{path}` was not kept")))?;
            part.withhold(rest);
            read.unabridged = false;
        }
        read.participant =
            policy_core::participant::ParticipantBuilder::from(&read.participant).attributes(&own).build();
        Ok(read)
    }

    /// Whether nothing of it is withheld.
    #[cfg(feature = "admin")]
    pub(crate) const fn is_unabridged(&self) -> bool {
        self.unabridged
    }

    /// The same request of somebody else.
    #[cfg(feature = "admin")]
    pub(crate) fn of(mut self, participant: Participant) -> Self {
        self.facts.mfa = participant.mfa();
        self.participant = participant;
        self
    }

    pub(crate) fn read(json: &Json, registry: &Registry, now: Millis) -> Result<Self, Wrong> {
        let all = members(json, "the request", &MEMBERS)?;
        let (action, entry) = action(text(all, "action")?.ok_or_else(|| Wrong::new("`action` is missing"))?, registry)?;
        let nobody = Json::Object(std::collections::BTreeMap::new());
        let who = all.get("participant").unwrap_or(&nobody);
        members(who, "participant", &PARTICIPANT)?;
        let said = text(all, "scope")?.map(scope).transpose()?;
        let home = text(who, "scope")?.map(scope).transpose()?;
        let scope = match (said, &home, entry.tier) {
            (Some(scope), _, _) => scope,
            (None, Some(home), _) => home.clone(),
            (None, None, Tier::System) => Scope::System,
            (None, None, _) => {
                return Err(Wrong::new("`scope` is missing: say which, such as `app:acme/orders`"));
            }
        };
        let participant = participant(who, home.unwrap_or_else(|| scope.clone()), entry)?;
        let resource = all.get("resource").map(|resource| self::resource(resource, entry)).transpose()?;
        let (facts, time) = context(all.get("context"), entry, participant.mfa(), now)?;
        let said_arguments = all.get("arguments").is_some();
        let args = arguments(all.get("arguments"), entry)?.into_iter().map(|arg| arg.map(Part::Value)).collect();
        Ok(Self { participant, action, scope, resource, facts, time, args, said_arguments, unabridged: true })
    }

    /// Puts the request to somebody.
    pub fn ask<T>(&self, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let args: Vec<ValueRef<'_>> =
            self.args.iter().map(|arg| arg.as_ref().map_or(ValueRef::Absent, Part::as_ref)).collect();
        ask(&Request {
            participant: &self.participant,
            action: self.action,
            scope: &self.scope,
            resource: self.resource.as_ref().map(|(id, attributes)| Resource { id, attributes }),
            context: Context { time: self.time, facts: &self.facts },
            args: &args,
        })
    }

    /// Who asks.
    pub const fn participant(&self) -> &Participant {
        &self.participant
    }

    /// The scope of what is asked about.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it is about rows that it does not name.
    #[cfg(feature = "admin")]
    pub(crate) fn is_list(&self, registry: &Registry) -> bool {
        !registry.action(self.action).is_some_and(|entry| self.is_whole(entry))
    }

    /// Whether everything that a decision reads was said, so that one can be made.
    pub(crate) fn is_whole(&self, entry: &ActionEntry) -> bool {
        let about_entity = entry.env.roots.iter().any(|root| root.root == Root::Resource);
        (self.said_arguments || self.args.is_empty()) && (self.resource.is_some() || !about_entity)
    }
}

/// An object with none but these members.
fn members<'a>(json: &'a Json, path: &str, known: &[&str]) -> Result<&'a Json, Wrong> {
    let Json::Object(members) = json else { return Err(Wrong::new(format!("{path} is no mapping"))) };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unknown(path, name, known)),
        None => Ok(json),
    }
}

fn unknown(path: &str, name: &str, known: &[&str]) -> Wrong {
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it has nothing".to_owned(),
        None => format!("there are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Wrong::new(format!("{path} has no `{name}`\nhelp: {help}"))
}

fn text<'a>(json: &'a Json, name: &str) -> Result<Option<&'a str>, Wrong> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(found) => found.as_text().map(Some).ok_or_else(|| Wrong::new(format!("`{name}` is no text"))),
    }
}

fn scope(text: &str) -> Result<Scope, Wrong> {
    text.parse().map_err(|error| Wrong::new(format!("{error}")))
}

fn action<'r>(name: &str, registry: &'r Registry) -> Result<(ActionId, &'r ActionEntry), Wrong> {
    if let Some(found) = registry.find(name).and_then(|id| Some((id, registry.action(id)?))) {
        return Ok(found);
    }
    let all: Vec<String> = registry.actions().map(|(_, entry)| entry.name.to_string()).collect();
    let help = match nearest(name, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`policy schema` lists them".to_owned(),
    };
    Err(Wrong::new(format!("there is no action `{name}`\nhelp: {help}")))
}

fn root<'e>(entry: &'e ActionEntry, wanted: &Root) -> Option<&'e RootType> {
    entry.env.roots.iter().find(|root| root.root == *wanted)
}

/// Attributes of a root: those that are declared, and where it is open those that rules read.
fn attributes(json: &Json, root: Option<&RootType>, entry: &ActionEntry, path: &str) -> Result<Fields, Wrong> {
    let Json::Object(members) = json else { return Err(Wrong::new(format!("{path} is no mapping"))) };
    let record = root.and_then(|root| record_of(root.ty.as_ref()));
    let mut out = Fields::new();
    for (name, value) in members {
        let declared = record.and_then(|record| record.field(name)).map(|(_, field)| field.ty.kind.clone());
        let inferred = || {
            let root = root.filter(|root| root.open)?;
            entry.env.inferred.get(&(root.name.clone(), name.as_str().into())).cloned()
        };
        let Some(kind) = declared.or_else(inferred) else {
            // No rule of the program reads it; a rule of an admin may, and says its kind by how it is used.
            if root.is_some_and(|root| root.open) {
                if let Some(value) = guessed(value) {
                    out.insert(name.as_str().into(), value);
                }
                continue;
            }
            let known: Vec<&str> =
                record.map(|record| record.fields.iter().map(|field| &*field.name).collect()).unwrap_or_default();
            return Err(unknown(path, name, &known));
        };
        if let Some(value) = value_of(value, &kind, &format!("{path}.{name}"))? {
            out.insert(name.as_str().into(), value);
        }
    }
    Ok(out)
}

fn guessed(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(b) => Some(Value::Bool(*b)),
        Json::Number(_) => json.as_long().map(Value::Long).or_else(|| json.as_decimal().map(Value::Decimal)),
        Json::Text(text) => Some(Value::text(text)),
        Json::List(items) => items.iter().map(guessed).collect::<Option<Vec<_>>>().map(Value::Set),
        Json::Null | Json::Object(_) => None,
    }
}

/// A value of its kind; of records, no attribute but declared ones.
fn value_of(json: &Json, kind: &Kind, path: &str) -> Result<Option<Value>, Wrong> {
    if let (Json::Object(_), Kind::Record(record)) = (json, kind) {
        return record_value(json, record, path).map(Some);
    }
    read(json, kind, path).map_err(|Mismatch(message)| Wrong::new(message))
}

fn record_value(json: &Json, record: &RecordType, path: &str) -> Result<Value, Wrong> {
    let Json::Object(members) = json else { return Err(Wrong::new(format!("{path} is no mapping"))) };
    let mut out = Fields::new();
    for (name, value) in members {
        let Some((_, field)) = record.field(name) else {
            let known: Vec<&str> = record.fields.iter().map(|field| &*field.name).collect();
            return Err(unknown(path, name, &known));
        };
        let value = value_of(value, &field.ty.kind, &format!("{path}.{name}"))?;
        out.extend(value.map(|value| (field.name.clone(), value)));
    }
    Ok(Value::Record(out))
}

fn participant(json: &Json, home: Scope, entry: &ActionEntry) -> Result<Participant, Wrong> {
    let mut built = Participant::builder(home, text(json, "id")?.unwrap_or("somebody"));
    if let Some(email) = text(json, "email")? {
        built = built.email(email);
    }
    if let Some(name) = text(json, "displayName")? {
        built = built.display_name(name);
    }
    if let Some(tenant) = text(json, "tenant")? {
        built = built.tenant(tenant);
    }
    if let Some(auth_type) = text(json, "authType")? {
        built = built.auth_type(auth_type);
    }
    if let Some(subject) = text(json, "subject")? {
        built = built.subject(subject);
    }
    match json.get("mfa") {
        None | Some(Json::Null) => {}
        Some(Json::Bool(mfa)) => built = built.mfa(*mfa),
        Some(_) => return Err(Wrong::new("`participant.mfa` is not a Bool")),
    }
    for role in json.get("roles").and_then(Json::as_list).unwrap_or_default() {
        let role = role.as_text().ok_or_else(|| Wrong::new("`participant.roles` is not a Set of Text"))?;
        built = built.role(role);
    }
    if let Some(own) = json.get("attributes") {
        let own = attributes(own, root(entry, &Root::Participant), entry, "participant.attributes")?;
        built = own.into_iter().fold(built, |built, (name, value)| built.attribute(&name, value));
    }
    Ok(built.build())
}

fn resource(json: &Json, entry: &ActionEntry) -> Result<(String, Part), Wrong> {
    members(json, "resource", &RESOURCE)?;
    let id = text(json, "id")?.ok_or_else(|| Wrong::new("`resource.id` is missing"))?.to_owned();
    let own =
        json.get("attributes").map(|own| attributes(own, root(entry, &Root::Resource), entry, "resource.attributes"));
    Ok((id, Part::Value(Value::Record(own.transpose()?.unwrap_or_default()))))
}

fn context(json: Option<&Json>, entry: &ActionEntry, mfa: bool, now: Millis) -> Result<(Facts, Millis), Wrong> {
    let mut facts = Facts { mfa, ..Facts::default() };
    let mut time = now;
    let Some(json) = json else { return Ok((facts, time)) };
    for (name, value) in attributes(json, root(entry, &Root::Context), entry, "context")? {
        match (&*name, value) {
            ("time", Value::Datetime(said)) => time = said,
            ("ip", Value::Ip(ip)) => facts.ip = Some(ip),
            ("mfa", Value::Bool(mfa)) => facts.mfa = mfa,
            ("connection", Value::Text(connection)) => facts.connection = Some(connection),
            ("requestId", Value::Text(id)) => facts.request_id = Some(id),
            ("quota", Value::Long(quota)) => facts.quota = u32::try_from(quota).ok(),
            (name, value) => facts.attributes.insert(name, value),
        }
    }
    Ok((facts, time))
}

fn arguments(json: Option<&Json>, entry: &ActionEntry) -> Result<Vec<Option<Value>>, Wrong> {
    let known: Vec<&str> = entry.params.iter().map(|(name, _)| &**name).collect();
    if let Some(json) = json {
        members(json, "arguments", &known)?;
    }
    let params = entry.params.iter();
    params
        .map(|(name, ty)| match (ty, json.and_then(|json| json.get(name))) {
            (Some(ty), Some(value)) => value_of(value, &ty.kind, &format!("arguments.{name}")),
            (_, _) => Ok(None),
        })
        .collect()
}

/// What the command line says of a request, over what a file says.
///
/// ```
/// use policy_runtime::offline::Supposed;
/// let supposed = Supposed { action: Some("Platform.createOrganization".to_owned()), ..Supposed::default() };
/// let json = supposed.over("participant: { id: ann }").unwrap();
/// assert!(json.contains(r#""action":"Platform.createOrganization""#) && json.contains(r#""id":"ann""#), "{json}");
/// ```
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Supposed {
    /// The action's name.
    pub action: Option<String>,
    /// The scope that is asked about.
    pub scope: Option<String>,
    /// The participant's id.
    pub id: Option<String>,
    /// The participant's roles.
    pub roles: Vec<String>,
    /// Whether a second factor was used.
    pub mfa: bool,
    /// Arguments: a name and its value as YAML.
    pub arguments: Vec<(String, String)>,
}

impl Supposed {
    /// The request of a file (or of nothing) with these changes, as JSON.
    ///
    /// # Errors
    /// When one of them is no YAML.
    pub fn over(&self, text: &str) -> Result<String, Wrong> {
        let base: serde_json::Value = if text.trim().is_empty() { serde_json::json!({}) } else { plain::parse(text)? };
        let serde_json::Value::Object(mut all) = base else { return Err(Wrong::new("the request is no mapping")) };
        let mut put = |path: &[&str], value: serde_json::Value| {
            let mut at = &mut all;
            for part in path.split_last().map(|(_, before)| before).unwrap_or_default() {
                let next = at.entry((*part).to_owned()).or_insert_with(|| serde_json::json!({}));
                let serde_json::Value::Object(members) = next else { return };
                at = members;
            }
            if let Some(last) = path.last() {
                at.insert((*last).to_owned(), value);
            }
        };
        for (path, value) in
            [(["action"].as_slice(), &self.action), (&["scope"], &self.scope), (&["participant", "id"], &self.id)]
        {
            if let Some(value) = value {
                put(path, value.as_str().into());
            }
        }
        if !self.roles.is_empty() {
            put(&["participant", "roles"], self.roles.clone().into());
        }
        if self.mfa {
            put(&["participant", "mfa"], true.into());
        }
        for (name, value) in &self.arguments {
            put(&["arguments", name], plain::parse(value)?);
        }
        Ok(serde_json::Value::Object(all).to_string())
    }
}
