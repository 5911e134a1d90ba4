//! What happens, in order; every answer comes from the engine.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use policy_runtime::{Denied, Participant, Policy, Scope, SecurityContext, SetSource};
use serde_json::{Value, json};

use examples::orders::{Order, OrderError, OrderService};

/// The rule that the organization's admin adds while the program runs.
pub(crate) const ORGANIZATION_RULE: (&str, &str) =
    ("mfa-for-orders", "forbid com.example.OrderService.placeOrder unless participant.mfa == true");
/// The rule that the platform's operator adds.
pub(crate) const SYSTEM_RULE: (&str, &str) =
    ("no-contractors", "forbid com.example.OrderService.* when participant.email like '*@contractor.example'");

/// A call and what came of it.
pub(crate) struct Call {
    pub(crate) caller: &'static str,
    pub(crate) what: &'static str,
    pub(crate) amount: i64,
    /// `yes`, `NO` or `-` of system, organization, application.
    pub(crate) tiers: [&'static str; 3],
    pub(crate) allowed: bool,
    /// The receipt, or the clause and its value.
    pub(crate) detail: String,
    /// What the caller itself was told.
    pub(crate) told: String,
}

/// Calls under one state of the rules.
pub(crate) struct Step {
    pub(crate) title: String,
    pub(crate) calls: Vec<Call>,
}

/// Everything that was seen.
pub(crate) struct Told {
    pub(crate) source: String,
    pub(crate) rule: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) cedar_of_line: String,
    pub(crate) cedar_of_rule: String,
    pub(crate) revisions: (u64, u64),
}

struct Stage {
    policy: Policy,
    service: Arc<OrderService>,
}

impl Stage {
    async fn call(&self, who: &Caller, amount: i64) -> Result<Call> {
        let participant = Arc::new(who.participant()?);
        let cx = SecurityContext::new(&self.policy, participant);
        let outcome = cx.scope(self.service.place_order(Order { amount })).await;
        self.row(who, amount, outcome.map(|receipt| receipt.number))
    }

    fn row(&self, who: &Caller, amount: i64, outcome: Result<u64, OrderError>) -> Result<Call> {
        let (tiers, allowed, detail, told) = match outcome {
            Ok(number) => (["yes"; 3], true, format!("receipt {number}"), format!("receipt {number}")),
            Err(OrderError::Denied(denied)) => {
                let (tiers, detail) = self.why(&denied)?;
                (tiers, false, detail, denied.to_string())
            }
        };
        Ok(Call { caller: who.name, what: who.what, amount, tiers, allowed, detail, told })
    }

    /// What only the log and an administrator see.
    fn why(&self, denied: &Denied) -> Result<([&'static str; 3], String)> {
        let denial = self.policy.denial(denied.id()).context("the denial is remembered")?;
        let tiers = denial.tiers.map(|answer| match answer {
            policy_runtime::TierAnswer::Allow => "yes",
            policy_runtime::TierAnswer::Deny => "NO",
            policy_runtime::TierAnswer::NotAsked => "-",
        });
        let detail = match (&denial.clause, denial.values.as_slice()) {
            (Some(clause), [one]) if denial.is_forbidden() => {
                let policy = denial.policy.as_deref().unwrap_or(clause);
                format!("{policy}: {} is {}", one.path, one.value)
            }
            (Some(clause), [one]) => format!("{clause}: it is {}", one.value),
            _ => denial.message.clone(),
        };
        Ok((tiers, detail))
    }
}

struct Caller {
    name: &'static str,
    what: &'static str,
    organization: &'static str,
    application: &'static str,
    role: &'static str,
    email: &'static str,
    mfa: bool,
}

impl Caller {
    fn participant(&self) -> Result<Participant> {
        let scope = Scope::application(self.organization, self.application).map_err(|e| anyhow!(e))?;
        Ok(Participant::builder(scope, self.name)
            .email(self.email)
            .role(self.role)
            .mfa(self.mfa)
            .auth_type("password")
            .build())
    }
}

const fn caller(name: &'static str, what: &'static str, role: &'static str, email: &'static str, mfa: bool) -> Caller {
    Caller { name, what, organization: "acme", application: "orders", role, email, mfa }
}

const ALICE: Caller = caller("alice", "finance, mfa", "finance", "alice@acme.example", true);
const BOB: Caller = caller("bob", "support, mfa", "support", "bob@acme.example", true);
const CAROL: Caller = caller("carol", "finance, no mfa", "finance", "carol@acme.example", false);
const DAVE: Caller = caller("dave", "finance, mfa, contractor", "finance", "dave@contractor.example", true);
const MALLORY: Caller = Caller {
    organization: "globex",
    application: "shop",
    ..caller("mallory", "of another org", "finance", "m@globex.example", true)
};

/// Plays it.
pub(crate) async fn tell() -> Result<Told> {
    let policy = Policy::builder().organization("acme").application("orders").also("globex", "shop").build()?;
    let acme = policy.organization();
    let stage = Stage { policy: policy.clone(), service: Arc::default() };
    let mut steps = Vec::new();

    let mut calls = Vec::new();
    for (who, amount) in [(&ALICE, 4_200), (&ALICE, 72_000), (&BOB, 4_200), (&CAROL, 4_200), (&MALLORY, 4_200)] {
        calls.push(stage.call(who, amount).await?);
    }
    calls.push(nobody(stage.service.place_order(Order { amount: 4_200 }).await));
    steps.push(Step { title: "the annotated line and the shipped baselines decide".to_owned(), calls });

    let rule = |(id, text): (&str, &str)| SetSource { rules: vec![(id.into(), text.into())], ..SetSource::default() };
    let activation = policy.replace(&acme, &rule(ORGANIZATION_RULE))?;
    let revisions = (activation.before.number, activation.revision.number);
    let cedar_of_rule = cedar(&policy, &acme, ORGANIZATION_RULE.0)?;
    steps.push(Step {
        title: format!(
            "acme's admin adds a rule; nothing is recompiled (organization revision {} -> {})",
            revisions.0, revisions.1
        ),
        calls: vec![stage.call(&CAROL, 4_200).await?, stage.call(&ALICE, 4_200).await?],
    });

    policy.replace(&Scope::System, &rule(SYSTEM_RULE))?;
    steps.push(Step {
        title: "the platform's operator adds a rule for every organization".to_owned(),
        calls: vec![stage.call(&DAVE, 4_200).await?],
    });

    let line = "com.example.OrderService.placeOrder";
    let registry = policy.engine().registry();
    let entry = registry.find(line).and_then(|id| registry.action(id)).context("the method is registered")?;
    let permit = entry.permit.as_ref().context("the method has a rule")?;
    let of = |name: &str| permit.policy.annotation(name).unwrap_or_default().to_owned();
    Ok(Told {
        source: of("source"),
        rule: of("rule"),
        cedar_of_line: cedar(&policy, policy.application(), line)?,
        cedar_of_rule,
        steps,
        revisions,
    })
}

/// A call outside any connection: there is nobody to ask about.
fn nobody<T>(outcome: Result<T, OrderError>) -> Call {
    let told = match outcome {
        Ok(_) => "allowed".to_owned(),
        Err(error) => error.to_string(),
    };
    let allowed = told == "allowed";
    let detail = told.split(' ').next().unwrap_or_default().to_owned();
    Call { caller: "nobody", what: "no credentials", amount: 4_200, tiers: ["-"; 3], allowed, detail, told }
}

fn cedar(policy: &Policy, scope: &Scope, id: &str) -> Result<String> {
    let all = policy.engine().cedar_of(scope);
    all.into_iter()
        .find(|(known, _)| &**known == id)
        .map(|(_, text)| text)
        .with_context(|| format!("`{id}` is in the set"))
}

impl Told {
    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let call = |c: &Call| {
            json!({
                "caller": c.caller, "what": c.what, "amount": c.amount,
                "system": c.tiers[0], "organization": c.tiers[1], "application": c.tiers[2],
                "decision": if c.allowed { "ALLOW" } else { "DENY" }, "detail": c.detail, "told": c.told,
            })
        };
        json!({
            "annotation": { "source": self.source, "rule": self.rule },
            "steps": self.steps.iter().map(|s| json!({
                "title": s.title, "calls": s.calls.iter().map(call).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "organizationRevision": { "before": self.revisions.0, "after": self.revisions.1 },
            "cedar": { "annotation": self.cedar_of_line, "organizationRule": self.cedar_of_rule },
        })
    }
}
