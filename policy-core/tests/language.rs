//! Every example of Kinotic's page on access control, exactly as it writes them, decided three ways: by the reference
//! evaluator, by the compiled condition, and by Cedar over the generated policy.
#![cfg(feature = "engine")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use policy_core::check::{RootType, RuleEnv, check};
use policy_core::context::{Context, Facts};
use policy_core::contract::{field, record};
use policy_core::eval::{Truth, truth};
use policy_core::ir::Root;
use policy_core::ir::eval::{EntityRef, Env, holds};
use policy_core::kind::{Described, Kind};
use policy_core::lower::{Unknown, lower};
use policy_core::model::{ActionModel, EntityModel, Model};
use policy_core::policy::{ActionConstraint, Constraint, Effect, Policy};
use policy_core::value::{Millis, Value, ValueRef};
use policy_core::{ActionName, EntityUid, Participant, Scope, cedar, syntax};

type Fields = BTreeMap<Arc<str>, Value>;

fn fields(all: &[(&str, Value)]) -> Fields {
    all.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}

fn set(items: &[&str]) -> Value {
    Value::Set(items.iter().map(|item| Value::text(item)).collect())
}

/// What the examples read; all of it may be absent, as data of TypeScript may.
fn described(name: &str) -> Described {
    let f = |name: &str, kind: Kind| field(name, name, Described::optional(kind), false);
    let texts = || Kind::Set(Arc::new(Kind::Text));
    record(
        name,
        match name {
            "Own" => vec![f("department", Kind::Text), f("transferLimit", Kind::Long)],
            "Entity" => vec![
                f("status", Kind::Text),
                f("priority", Kind::Long),
                f("score", Kind::Long),
                f("approvedBy", Kind::Text),
                f("email", Kind::Text),
                f("department", Kind::Text),
                f("deleted", Kind::Bool),
                f("classification", Kind::Text),
                f("ownerId", Kind::Text),
                f("sharedWith", texts()),
                f("ratio", Kind::Decimal),
            ],
            "Order" | "Transfer" => vec![f("amount", Kind::Long), f("currency", Kind::Text)],
            _ => vec![f("approved", Kind::Bool)],
        },
    )
}

const PARAMS: [(&str, &str); 3] = [("order", "Order"), ("transfer", "Transfer"), ("approval", "Approval")];

fn env() -> RuleEnv {
    let root = |name: &str, root: Root, ty: Described| RootType {
        name: name.into(),
        rust_name: name.into(),
        root,
        ty: Some(ty),
        open: false,
    };
    let mut participant = policy_core::participant::BUILT_IN.clone();
    if let Kind::Record(own) = described("Own").kind {
        participant.fields.extend(own.fields.iter().cloned());
    }
    let context = policy_core::context::BUILT_IN.clone();
    let mut roots = vec![
        root("participant", Root::Participant, Described::required(Kind::Record(Arc::new(participant)))),
        root("context", Root::Context, Described::required(Kind::Record(Arc::new(context)))),
        root("entity", Root::Resource, described("Entity")),
    ];
    roots.extend((0..).zip(PARAMS).map(|(n, (name, ty))| root(name, Root::Arg(n, name.into()), described(ty))));
    RuleEnv { roots, inferred: BTreeMap::new() }
}

fn own_fields(name: &str) -> Vec<policy_core::kind::Field> {
    match described(name).kind {
        Kind::Record(record) => record.fields.clone(),
        other => panic!("{other}"),
    }
}

fn model() -> Model {
    Model {
        entities: vec![
            EntityModel { name: "Platform::Participant".into(), parents: vec![], attributes: own_fields("Own") },
            EntityModel { name: "com::example::Photo".into(), parents: vec![], attributes: own_fields("Entity") },
        ],
        actions: vec![ActionModel {
            name: ActionName::new("com.example", "Photo.open"),
            groups: vec![],
            principals: vec!["Platform::Participant".into()],
            resource: "com::example::Photo".into(),
            params: PARAMS.iter().map(|(name, ty)| (Arc::from(*name), Some(described(ty)))).collect(),
        }],
        context: vec![],
    }
}

struct Case {
    participant: Participant,
    entity: Fields,
    args: [Fields; 3],
}

fn case(roles: &[&str], own: &[(&str, Value)], entity: &[(&str, Value)], args: [&[(&str, Value)]; 3]) -> Case {
    let scope = Scope::application("acme", "orders").unwrap();
    let participant =
        Participant::builder(scope, "u-alice").roles(roles.iter().copied()).attributes(&fields(own)).build();
    Case { participant, entity: fields(entity), args: args.map(fields) }
}

/// Decides a rule three ways, as what permits and as what forbids, which must agree; and that Cedar finds nothing to say.
fn decide(rule: &str, case: &Case) -> Truth {
    let typed = check(&syntax::parse(rule).unwrap_or_else(|e| panic!("{rule}: {e}")), &env())
        .unwrap_or_else(|e| panic!("{rule}: {e}"));
    assert_eq!(check(&syntax::parse(&typed.to_string()).unwrap(), &env()).as_ref(), Ok(&typed), "canonical");
    let facts = Facts::default();
    let args: Vec<ValueRef<'_>> = case.args.iter().map(|arg| ValueRef::record(arg)).collect();
    let env = Env {
        principal: EntityRef { kind: "Platform::Participant", id: case.participant.uid_id() },
        principal_parents: &[],
        participant: (&case.participant).into(),
        action: EntityRef { kind: "com::example::Action", id: "Photo.open" },
        action_groups: &[],
        resource: EntityRef { kind: "com::example::Photo", id: "7" },
        resource_parents: &[],
        attributes: Some(&case.entity),
        context: Context { time: Millis(0), facts: &facts },
        args: &args,
    };
    let meant = truth(&typed, &env);
    let schema = cedar::schema(&model()).unwrap();
    for (effect, unknown, wanted) in [
        (Effect::Permit, Unknown::Fails, meant == Truth::True),
        (Effect::Forbid, Unknown::Holds, meant != Truth::False),
    ] {
        let policy = Policy {
            id: "example".into(),
            effect,
            principal: Constraint::Any,
            action: ActionConstraint::Eq(EntityUid::new("com::example::Action", "Photo.open")),
            resource: Constraint::Any,
            condition: Some(lower(&typed, unknown)),
            annotations: vec![],
        };
        assert_eq!(holds(policy.condition.as_ref().unwrap(), &env), Ok(wanted), "compiled: {effect} {rule}");
        let judged = cedar::judge(std::slice::from_ref(&policy), &env, &model()).unwrap();
        assert!(judged.erring.is_empty(), "{rule}: {judged:?}");
        assert_eq!(!judged.deciding.is_empty(), wanted, "Cedar: {effect} {rule}");
        assert_eq!(judged.allow, wanted && effect == Effect::Permit);
        let found = cedar::validate(&[cedar::to_pst(&policy).unwrap()], &schema);
        assert!(found.0.is_empty(), "{effect} {rule}: {found}");
    }
    meant
}

const NONE: [&[(&str, Value)]; 3] = [&[], &[], &[]];

/// A rule with one case in which it is true and one in which it is false; where nothing is there it is never true.
fn both(rule: &str, yes: &Case, no: &Case) {
    assert_eq!(decide(rule, yes), Truth::True, "{rule}");
    assert_eq!(decide(rule, no), Truth::False, "{rule}");
    assert_ne!(decide(rule, &case(&[], &[], &[], NONE)), Truth::True, "{rule}: missing data opens");
}

fn entity(name: &str, value: Value) -> Case {
    case(&[], &[], &[(name, value)], NONE)
}

fn roles(roles: &[&str]) -> Case {
    case(roles, &[], &[], NONE)
}

#[test]
fn operators() {
    let department = |name| case(&[], &[("department", Value::text(name))], &[], NONE);
    both("participant.department == 'engineering'", &department("engineering"), &department("Engineering"));
    both(
        "entity.status != 'archived'",
        &entity("status", Value::text("open")),
        &entity("status", Value::text("archived")),
    );
    let order = |amount| case(&[], &[], &[], [&[("amount", Value::Long(amount))], &[], &[]]);
    both("order.amount < 50000", &order(49_999), &order(50_000));
    both("entity.priority > 3", &entity("priority", Value::Long(4)), &entity("priority", Value::Long(3)));
    let transfer =
        |amount| case(&[], &[("transferLimit", Value::Long(100))], &[], [&[], &[("amount", Value::Long(amount))], &[]]);
    both("transfer.amount <= participant.transferLimit", &transfer(100), &transfer(101));
    both("entity.score >= 80", &entity("score", Value::Long(80)), &entity("score", Value::Long(79)));
    both("participant.roles contains 'admin'", &roles(&["user", "admin"]), &roles(&["administrator"]));
    both(
        "entity.status in ['active', 'pending']",
        &entity("status", Value::text("pending")),
        &entity("status", Value::text("gone")),
    );
    both("entity.approvedBy exists", &entity("approvedBy", Value::text("bob")), &entity("status", Value::text("x")));
    both(
        "entity.email like '*@kinotic.ai'",
        &entity("email", Value::text("a@kinotic.ai")),
        &entity("email", Value::text("a@kinotic.ai.example")),
    );
}

#[test]
fn boolean_logic() {
    let order = |who: &[&str], amount| case(who, &[], &[], [&[("amount", Value::Long(amount))], &[], &[]]);
    both(
        "participant.roles contains 'finance' and order.amount < 50000",
        &order(&["finance"], 4_200),
        &order(&["finance"], 72_000),
    );
    assert_eq!(
        decide("participant.roles contains 'finance' and order.amount < 50000", &order(&["support"], 1)),
        Truth::False
    );
    let rule = "entity.status in ['active', 'pending'] or participant.department == entity.department";
    let of = |status, own, department| {
        case(
            &[],
            &[("department", Value::text(own))],
            &[("status", Value::text(status)), ("department", Value::text(department))],
            NONE,
        )
    };
    both(rule, &of("active", "a", "b"), &of("gone", "a", "b"));
    assert_eq!(decide(rule, &of("gone", "a", "a")), Truth::True);
    both("not entity.deleted == true", &entity("deleted", Value::Bool(false)), &entity("deleted", Value::Bool(true)));
    let rule = "(participant.roles contains 'admin' or participant.roles contains 'manager')\n    and entity.classification != 'top-secret'";
    let of = |role, class| case(&[role], &[], &[("classification", Value::text(class))], NONE);
    both(rule, &of("manager", "secret"), &of("manager", "top-secret"));
    assert_eq!(decide(rule, &of("user", "secret")), Truth::False);
    // Keywords have any case, and bind as the page says: comparisons, `not`, `and`, `or`.
    assert_eq!(
        decide(
            "NOT entity.deleted == TRUE AND entity.deleted == false OR entity.deleted EXISTS",
            &entity("deleted", Value::Bool(true))
        ),
        Truth::True
    );
}

#[test]
fn literals() {
    both(
        "entity.ratio > 3.14",
        &entity("ratio", Value::Decimal("3.15".parse().unwrap())),
        &entity("ratio", Value::Decimal("3.14".parse().unwrap())),
    );
    both("entity.deleted == true", &entity("deleted", Value::Bool(true)), &entity("deleted", Value::Bool(false)));
}

#[test]
fn methods_with_several_policies() {
    let of = |who: &[&str], amount, approved| {
        let transfer = [("amount", Value::Long(amount)), ("currency", Value::text("USD"))];
        case(who, &[("transferLimit", Value::Long(100))], &[], [&[], &transfer, &[("approved", Value::Bool(approved))]])
    };
    // Several attributes mean AND.
    let joined = "(participant.roles contains 'finance') and (transfer.amount <= participant.transferLimit)";
    both(joined, &of(&["finance"], 100, false), &of(&["finance"], 101, true));
    both("approval.approved", &of(&[], 1, true), &of(&[], 1, false));
    both(
        "participant.roles contains 'finance' and transfer.amount <= participant.transferLimit and transfer.currency == 'USD' and approval.approved == true",
        &of(&["finance"], 1, true),
        &of(&["finance"], 1, false),
    );
}

#[test]
fn entities_and_ownership() {
    let shared = |with: &[&str]| entity("sharedWith", set(with));
    both("entity.sharedWith contains participant.id", &shared(&["u-bob", "u-alice"]), &shared(&[]));
    let rule = "entity.ownerId == participant.id or entity.sharedWith contains participant.id";
    let of = |owner, with: &[&str]| case(&[], &[], &[("ownerId", Value::text(owner)), ("sharedWith", set(with))], NONE);
    both(rule, &of("u-alice", &[]), &of("u-bob", &["u-carol"]));
    assert_eq!(decide(rule, &of("u-bob", &["u-alice"])), Truth::True);
    assert_eq!(decide(rule, &entity("ownerId", Value::text("u-alice"))), Truth::True, "true or unknown");
    both("entity.ownerId == participant.id", &of("u-alice", &[]), &of("u-bob", &[]));
}

#[test]
fn roles_alone() {
    both("participant.roles contains 'user'", &roles(&["user"]), &roles(&[]));
    both("participant.roles contains 'editor'", &roles(&["editor"]), &roles(&["reader"]));
    both(
        "participant.roles contains 'admin' or participant.roles contains 'manager'",
        &roles(&["manager"]),
        &roles(&["user"]),
    );
    both(
        "participant.roles contains 'finance' and participant.roles contains 'approver'",
        &roles(&["approver", "finance"]),
        &roles(&["finance"]),
    );
}
