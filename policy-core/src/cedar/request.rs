//! Requests as Cedar sees them, and Cedar's own decisions.
//!
//! In: the facts of a request. Out: what Cedar's `Authorizer` says, every error reported. Absent: our own evaluation; this is
//! what it is held against, and what decides a policy that is not lowered.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::pst;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid as CedarUid, PolicySet, Request,
    RestrictedExpression,
};

use super::load::Loaded;
use super::policy::{datetime_text, duration_text, to_pst};
use crate::ir::eval::{EntityRef, Env};
use crate::model::Model;
use crate::name::EntityUid;
use crate::policy::Policy;
use crate::value::{Record, ValueRef, uuid_text};

/// Decides one policy that is not lowered, by Cedar.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::cedar::{self, Fallback};
/// use policy_core::model::Model;
///
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let text = r#"permit (principal, action, resource) when { principal.roles.contains("finance") };"#;
/// let loaded = cedar::load(text, "a.cedar", &schema).unwrap();
/// assert_eq!(Fallback::new(&loaded[0]).satisfied(&env), Ok(true));
/// ```
pub struct Fallback(Judge);

impl Fallback {
    /// Prepares a policy.
    pub fn new(loaded: &Loaded) -> Self {
        Self(Judge::new([of_any_action(&loaded.cedar)], &loaded.model))
    }

    /// Whether the policy is satisfied.
    ///
    /// # Errors
    /// What Cedar could not evaluate, or what could not be told to Cedar.
    pub fn satisfied(&self, env: &Env<'_>) -> Result<bool, String> {
        let judgement = self.0.decide(env)?;
        match judgement.erring.into_iter().next() {
            // Cedar's own words may show the values.
            Some((_, why)) if why.contains("overflow") => Err("a number leaves the range of its kind".to_owned()),
            Some(_) => Err("Cedar cannot evaluate it".to_owned()),
            None => Ok(!judgement.deciding.is_empty()),
        }
    }
}

/// Whoever asks has chosen the policy by its action already, former names included, which Cedar does not know.
fn of_any_action(policy: &cedar_policy::Policy) -> cedar_policy::Policy {
    let open = || {
        let pst::Policy::Static(policy) = policy.to_pst().ok()? else { return None };
        let mut body = policy.body().clone();
        body.action = pst::ActionConstraint::Any;
        cedar_policy::Policy::from_pst(pst::Policy::Static(pst::StaticPolicy::try_from(body).ok()?)).ok()
    };
    open().unwrap_or_else(|| policy.clone())
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}

/// What Cedar decided over a set of policies.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::cedar::Judge;
/// use policy_core::model::Model;
///
/// // An empty set denies, and nothing decided that.
/// let judgement = Judge::new([], &Model::default()).decide(&env).unwrap();
/// assert!(!judgement.allow && judgement.deciding.is_empty() && judgement.erring.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// Cedar's own answer, which passes over policies that err.
    pub allow: bool,
    /// The satisfied forbids, or if there are none the satisfied permits.
    pub deciding: BTreeSet<String>,
    /// The policies that err, with why.
    pub erring: Vec<(String, String)>,
}

/// Cedar's `Authorizer` over a set of policies, prepared once.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::cedar::{self, Judge};
/// use policy_core::model::Model;
///
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let loaded = cedar::load(r#"@id("all") permit (principal, action, resource);"#, "a.cedar", &schema).unwrap();
/// let judge = Judge::new(loaded.into_iter().map(|l| l.cedar), &Model::default());
/// assert!(judge.decide(&env).unwrap().deciding.contains("all"));
/// ```
pub struct Judge {
    authorizer: Authorizer,
    policies: PolicySet,
    /// Of each action the names of its arguments; `None` for one that no rule can read.
    params: HashMap<(String, String), Vec<Option<Arc<str>>>>,
    refused: Option<String>,
}

impl Judge {
    /// Prepares a set. A set with an id twice refuses every question.
    pub fn new(policies: impl IntoIterator<Item = cedar_policy::Policy>, model: &Model) -> Self {
        let params = model.actions.iter().map(|action| {
            let names = action.params.iter().map(|(name, ty)| ty.is_some().then(|| name.clone())).collect();
            ((action.name.cedar_type(), action.name.id().to_owned()), names)
        });
        let (policies, refused) = match PolicySet::from_policies(policies) {
            Ok(set) => (set, None),
            Err(e) => (PolicySet::new(), Some(e.to_string())),
        };
        Self { authorizer: Authorizer::new(), policies, params: params.collect(), refused }
    }

    /// Asks Cedar.
    ///
    /// # Errors
    /// When the request cannot be told to Cedar: an unusable value, a name that it cannot spell.
    pub fn decide(&self, env: &Env<'_>) -> Result<Judgement, String> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let request = self.request(env)?;
        let entities = entities(env)?;
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        let diagnostics = response.diagnostics();
        let erring = diagnostics.errors().map(|e| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(e) = e;
            (e.policy_id().to_string(), e.inner().to_string())
        });
        Ok(Judgement {
            allow: response.decision() == cedar_policy::Decision::Allow,
            deciding: diagnostics.reason().map(ToString::to_string).collect(),
            erring: erring.collect(),
        })
    }

    fn request(&self, env: &Env<'_>) -> Result<Request, String> {
        let mut pairs = record(&env.context)?;
        let key = (env.action.kind.to_owned(), env.action.id.to_owned());
        let names = self.params.get(&key).map_or(&[] as &[_], Vec::as_slice);
        if names.iter().any(Option::is_some) {
            let mut args = Vec::new();
            for (name, value) in names.iter().zip(env.args) {
                if let (Some(name), Some(value)) = (name, expression(value)?) {
                    args.push((name.to_string(), value));
                }
            }
            pairs.push(("args".to_owned(), RestrictedExpression::new_record(args).map_err(|e| e.to_string())?));
        }
        let context = Context::from_pairs(pairs).map_err(|e| e.to_string())?;
        Request::new(uid(env.principal)?, uid(env.action)?, uid(env.resource)?, context, None)
            .map_err(|e| e.to_string())
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("policies", &self.policies.num_of_policies()).finish_non_exhaustive()
    }
}

/// Asks Cedar about a whole tier.
///
/// # Errors
/// When a policy cannot be written as Cedar or the request cannot be told to it.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// use policy_core::cedar;
/// use policy_core::model::Model;
///
/// assert!(!cedar::judge(&[], &env, &Model::default()).unwrap().allow);
/// ```
pub fn judge(policies: &[Policy], env: &Env<'_>, model: &Model) -> Result<Judgement, String> {
    let cedar = policies.iter().map(to_pst).collect::<Result<Vec<_>, _>>().map_err(|d| d.to_string())?;
    Judge::new(cedar, model).decide(env)
}

fn uid(entity: EntityRef<'_>) -> Result<CedarUid, String> {
    let kind = EntityTypeName::from_str(entity.kind).map_err(|e| e.to_string())?;
    Ok(CedarUid::from_type_name_and_id(kind, EntityId::new(entity.id)))
}

/// The three entities of the request. What they belong to needs no entity of its own: it is complete as it is.
fn entities(env: &Env<'_>) -> Result<Entities, String> {
    let entity = |own: EntityRef<'_>, attributes: Vec<(String, RestrictedExpression)>, parents: &[EntityUid]| {
        let parents = parents.iter().map(|p| uid(p.into())).collect::<Result<_, String>>()?;
        Entity::new(uid(own)?, attributes.into_iter().collect(), parents).map_err(|e| e.to_string())
    };
    let resource = env.attributes.map_or(Ok(Vec::new()), |attributes| record(attributes))?;
    let all = [
        entity(env.principal, record(&env.participant)?, env.principal_parents)?,
        entity(env.action, Vec::new(), env.action_groups)?,
        entity(env.resource, resource, env.resource_parents)?,
    ];
    Entities::from_entities(all, None).map_err(|e| e.to_string())
}

fn record(record: &dyn Record) -> Result<Vec<(String, RestrictedExpression)>, String> {
    let (mut out, mut failed) = (Vec::new(), None);
    record.each_field(&mut |name, value| match expression(&value) {
        Ok(value) => out.extend(value.map(|value| (name.to_owned(), value))),
        Err(why) => failed = Some(format!("`{name}`: {why}")),
    });
    failed.map_or(Ok(out), Err)
}

fn expression(value: &ValueRef<'_>) -> Result<Option<RestrictedExpression>, String> {
    Ok(Some(match value {
        ValueRef::Absent => return Ok(None),
        ValueRef::Unusable(why) => return Err((*why).to_owned()),
        ValueRef::Bool(b) => RestrictedExpression::new_bool(*b),
        ValueRef::Long(n) => RestrictedExpression::new_long(*n),
        ValueRef::Decimal(d) => RestrictedExpression::new_decimal(d.to_string()),
        ValueRef::Text(t) => RestrictedExpression::new_string((*t).to_owned()),
        ValueRef::Char(c) => RestrictedExpression::new_string(c.to_string()),
        ValueRef::Uuid(u) => RestrictedExpression::new_string(uuid_text(*u)),
        ValueRef::Datetime(t) => match datetime_text(*t) {
            Some(text) => RestrictedExpression::new_datetime(text),
            // A number, and nothing else, in Cedar's own syntax: there is no constructor for this.
            None => format!("datetime(\"1970-01-01\").offset(duration(\"{}\"))", duration_text(t.0))
                .parse()
                .map_err(|e: cedar_policy::RestrictedExpressionParseError| e.to_string())?,
        },
        ValueRef::Ip(ip) => RestrictedExpression::new_ip(ip.to_string()),
        ValueRef::Set(set) => {
            let (mut items, mut failed) = (Vec::new(), None);
            set.each(&mut |item| {
                match expression(&item) {
                    Ok(item) => items.extend(item),
                    Err(why) => failed = Some(why),
                }
                failed.is_none()
            });
            match failed {
                Some(why) => return Err(why),
                None => RestrictedExpression::new_set(items),
            }
        }
        ValueRef::Record(fields) => RestrictedExpression::new_record(record(fields)?).map_err(|e| e.to_string())?,
    }))
}
