//! Whatever the action, the roles and the attributes: nobody reaches what belongs to another organization, under the shipped
//! baselines and under sets that permit all they can.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::context::{Context, Facts};
use crate::decl::{ActionDecl, ResourceDecl};
use crate::participant::Participant;
use crate::request::Resource;
use crate::testdata::*;
use crate::value::{Value, ValueRef};

/// Every role that a baseline names.
const ROLES: [&str; 10] =
    ["owner", "admin", "developer", "auditor", "member", "enforcer", "operator", "administrator", "support", "finance"];

const OPEN: &str = "permit (principal, action, resource is Platform::Organization);
    permit (principal, action, resource is Platform::Application);
    permit (principal, action, resource is com::example::OrderService);
    permit (principal, action, resource is Platform::System);";

/// Engines with more and more opened: by nobody, by acme, by globex, by the operator.
fn engines() -> &'static [Engine] {
    static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
        let globex = Scope::organization("globex").unwrap();
        let opened = [vec![], vec![acme()], vec![acme(), globex.clone()], vec![acme(), globex, Scope::System]];
        let make = |scopes: Vec<Scope>| {
            let open = |id: &'static str, tier: Tier| ActionDecl {
                id,
                function: id,
                tier,
                callers: &Tier::ALL,
                resource: ResourceDecl::Scope,
                params: &[],
                ..place_order(&[])
            };
            let placing = ActionDecl { callers: &Tier::ALL, params: &[], ..place_order(&[]) };
            let engine = engine(vec![
                placing,
                open("anywhere", Tier::Application),
                open("of.organization", Tier::Organization),
                open("of.system", Tier::System),
            ]);
            for scope in scopes {
                engine.replace(&scope, &cedar(OPEN)).unwrap();
            }
            engine
        };
        opened.into_iter().map(make).collect()
    });
    &ENGINES
}

fn application_of(organization: &str) -> Scope {
    Scope::application(organization, if organization == "acme" { "orders" } else { "parts" }).unwrap()
}

/// What a participant is allowed, over all actions.
fn allowed(engine: &Engine, participant: &Participant, scope: &Scope) -> Vec<String> {
    let facts = Facts { mfa: participant.mfa(), ..Facts::default() };
    let context = Context { time: Millis(1_800_000_000_000), facts: &facts };
    let row = an_order(1);
    let about = Resource { id: "7", attributes: &row };
    let mut out = Vec::new();
    for (action, entry) in engine.registry().actions() {
        for resource in [None, Some(about)] {
            let request = Request { participant, action, scope, resource, context, args: &[ValueRef::record(&row)] };
            let listed = engine.may(&request) != May::Never;
            if engine.decide(&request).is_allowed() || listed {
                out.push(entry.name.to_string());
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn no_request_of_one_organization_is_allowed_on_anothers_resource(
        roles in subsequence(ROLES.to_vec(), 0..=ROLES.len()),
        at in 0_usize..4,
        is_acme in any::<bool>(),
        of_application in any::<bool>(),
        mfa in any::<bool>(),
        forged in any::<bool>(),
    ) {
        let (own, other) = if is_acme { ("acme", "globex") } else { ("globex", "acme") };
        let from = if of_application { application_of(own) } else { Scope::organization(own).unwrap() };
        let mut builder = Participant::builder(from, "x").roles(roles).mfa(mfa);
        if forged {
            builder = builder
                .attribute("organization", Value::text(other))
                .attribute("tier", Value::text("system"))
                .attribute("application", Value::text("orders"));
        }
        let participant = builder.build();
        let engine = &engines()[at];
        for scope in [Scope::organization(other).unwrap(), application_of(other), Scope::System, Scope::organization("empty").unwrap()] {
            prop_assert_eq!(allowed(engine, &participant, &scope), Vec::<String>::new(), "{}", scope);
        }
    }
}

#[test]
fn within_ones_own_organization_much_is_allowed() {
    for engine in engines() {
        let owner = Participant::builder(acme(), "x").role("owner").build();
        let own = allowed(engine, &owner, &acme());
        assert!(own.iter().any(|action| action == "Platform.policies.activate") && own.len() > 20, "{own:?}");
        let clerk = Participant::builder(orders(), "x").build();
        assert!(!allowed(engine, &clerk, &orders()).is_empty());
    }
}
