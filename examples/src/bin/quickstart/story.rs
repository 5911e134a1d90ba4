//! What happens, in order; every answer comes over a socket, every reason from the engine.

use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use examples::photos::Seen;
use policy_runtime::{Policy, Scope, SetSource, TierAnswer};
use serde_json::{Value, json};

use crate::http::Answer;
use crate::stage::{ALICE, BOB, CAROL, Caller, DAVE, MALLORY, Stage};

/// The rule that the organization's admin adds while the program runs.
pub(crate) const ORGANIZATION_RULE: (&str, &str) =
    ("mfa-for-orders", "forbid com.example.OrderService.placeOrder unless participant.mfa == true");
/// The rule that the platform's operator adds.
pub(crate) const SYSTEM_RULE: (&str, &str) =
    ("contractors", "forbid com.example.OrderService.* when participant.email like '*@contractor.example'");

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
    /// The organization's, before and after.
    pub(crate) revisions: (u64, u64),
    /// How often the closure of alice's client was called, before and after her socket was cut.
    pub(crate) tokens: (u32, u32),
    /// The same method behind axum.
    pub(crate) http: Vec<Answer>,
    /// Rows of a database.
    pub(crate) photos: Seen,
}

/// Plays it.
pub(crate) async fn tell() -> Result<Told> {
    let mut stage = Stage::start("127.0.0.1:0").await?;
    let policy = stage.policy.clone();
    let acme = policy.organization();
    let mut steps = Vec::new();

    let mut calls = Vec::new();
    for (who, amount) in [(&ALICE, 4_200), (&ALICE, 72_000), (&BOB, 4_200), (&CAROL, 4_200), (&MALLORY, 4_200)] {
        calls.push(call(&mut stage, who, amount).await?);
    }
    calls.push(nobody(&stage).await?);
    steps.push(Step { title: "the annotated line and the shipped baselines decide".to_owned(), calls });

    let rule = |(id, text): (&str, &str)| SetSource { rules: vec![(id.into(), text.into())], ..SetSource::default() };
    let activation = policy.replace(&acme, &rule(ORGANIZATION_RULE))?;
    let revisions = (activation.before.number, activation.revision.number);
    let cedar_of_rule = cedar(&policy, &acme, ORGANIZATION_RULE.0)?;
    let title = format!(
        "acme's admin adds a rule; nothing is recompiled (organization revision {} -> {})",
        revisions.0, revisions.1
    );
    steps.push(Step {
        title,
        calls: vec![call(&mut stage, &CAROL, 4_200).await?, call(&mut stage, &ALICE, 4_200).await?],
    });

    policy.replace(&Scope::System, &rule(SYSTEM_RULE))?;
    let title = "the platform's operator adds a rule for every organization".to_owned();
    steps.push(Step { title, calls: vec![call(&mut stage, &DAVE, 4_200).await?] });

    let before = stage.tokens.load(Ordering::Relaxed);
    stage.cut(&ALICE).await?;
    let tokens = (before, stage.tokens.load(Ordering::Relaxed));
    let title = format!(
        "alice's socket is cut; her client fetches a fresh token and comes back (token {} -> {})",
        tokens.0, tokens.1
    );
    steps.push(Step { title, calls: vec![call(&mut stage, &ALICE, 4_200).await?] });

    let http = stage.over_http().await?;
    let photos = examples::photos::tell().await.map_err(anyhow::Error::from_boxed)?;

    let line = "com.example.OrderService.placeOrder";
    let registry = policy.engine().registry();
    let entry = registry.find(line).and_then(|id| registry.action(id)).context("the method is registered")?;
    let permit = entry.permit.as_ref().context("the method has a rule")?;
    let of = |name: &str| permit.policy.annotation(name).unwrap_or_default().to_owned();
    let told = Told {
        source: of("source"),
        rule: of("rule"),
        cedar_of_line: cedar(&policy, policy.application(), line)?,
        cedar_of_rule,
        steps,
        revisions,
        tokens,
        http,
        photos,
    };
    stage.end().await;
    Ok(told)
}

async fn call(stage: &mut Stage, who: &Caller, amount: i64) -> Result<Call> {
    let outcome = stage.place(who, amount).await?;
    let (tiers, allowed, detail, told) = match outcome {
        Ok(number) => (["yes"; 3], true, format!("receipt {number}"), format!("receipt {number}")),
        Err(refused) => {
            // The gateway does not even name the service to a foreigner; the reason is the guard's.
            let id = match refused.decision() {
                Some(id) => id.to_owned(),
                None => stage.inside(who, amount).await?.id().to_owned(),
            };
            let (tiers, detail) = why(&stage.policy, &id)?;
            (tiers, false, detail, refused.to_string())
        }
    };
    Ok(Call { caller: who.name, what: who.what, amount, tiers, allowed, detail, told })
}

/// What only the log and an administrator see; the caller has the id to ask with.
fn why(policy: &Policy, id: &str) -> Result<([&'static str; 3], String)> {
    let denial = policy.denial(id).context("the denial is remembered")?;
    let tiers = denial.tiers.map(|answer| match answer {
        TierAnswer::Allow => "yes",
        TierAnswer::Deny => "NO",
        TierAnswer::NotAsked => "-",
    });
    let detail = match (&denial.clause, denial.values.as_slice()) {
        (Some(clause), [one]) if denial.is_forbidden() => {
            format!("{}: {} is {}", denial.policy.as_deref().unwrap_or(clause), one.path, one.value)
        }
        (Some(clause), [one]) => format!("{clause}: it is {}", one.value),
        _ => denial.message.clone(),
    };
    Ok((tiers, detail))
}

/// A connection that is refused: there is nobody to decide about.
async fn nobody(stage: &Stage) -> Result<Call> {
    let refused = stage.intrude().await?;
    let detail = format!("{}: never connected", refused.code());
    Ok(Call {
        caller: "nobody",
        what: "a wrong password",
        amount: 4_200,
        tiers: ["-"; 3],
        allowed: false,
        detail,
        told: refused.to_string(),
    })
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
            let [system, organization, application] = c.tiers;
            json!({
                "caller": c.caller, "what": c.what, "amount": c.amount,
                "system": system, "organization": organization, "application": application,
                "decision": if c.allowed { "ALLOW" } else { "DENY" }, "detail": c.detail, "told": c.told,
            })
        };
        json!({
            "annotation": { "source": self.source, "rule": self.rule },
            "steps": self.steps.iter().map(|s| json!({
                "title": s.title, "calls": s.calls.iter().map(call).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "organizationRevision": { "before": self.revisions.0, "after": self.revisions.1 },
            "tokens": { "before": self.tokens.0, "after": self.tokens.1 },
            "http": self.http.iter().map(|a| json!({
                "caller": a.caller, "status": a.status, "body": a.body,
            })).collect::<Vec<_>>(),
            "photos": {
                "lists": self.photos.lists.iter().map(|(caller, before, after)| json!({
                    "caller": caller, "before": before, "after": after,
                })).collect::<Vec<_>>(),
                "byTheService": self.photos.by_the_service, "byTheEntity": self.photos.by_the_entity,
                "sql": self.photos.sql, "values": self.photos.values,
            },
            "cedar": { "annotation": self.cedar_of_line, "organizationRule": self.cedar_of_rule },
        })
    }
}
