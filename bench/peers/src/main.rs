//! One decision (role, limit, owner) by casbin, regorus, cel and oso, each as its own documentation sets it up, with one
//! policy and with 10,000 of which one is about the action. `cargo run --release`.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use oso::{Oso, PolarClass};
use serde::Serialize;

type Outcome<T> = Result<T, Box<dyn Error>>;

const COUNTS: [usize; 2] = [1, 10_000];
const ACTION: &str = "placeOrder";

#[derive(Debug, Clone, Hash, Serialize, PolarClass)]
struct User {
    #[polar(attribute)]
    id: String,
    #[polar(attribute)]
    roles: Vec<String>,
}

#[derive(Debug, Clone, Hash, Serialize, PolarClass)]
struct Order {
    #[polar(attribute)]
    amount: i64,
    #[polar(attribute)]
    #[serde(rename = "ownerId")]
    owner: String,
}

struct World {
    user: User,
    order: Order,
}

/// The action of each policy: the last one is the one that is asked for.
fn actions(count: usize) -> impl Iterator<Item = String> {
    (1..count).map(|n| format!("other{n}")).chain([ACTION.to_owned()])
}

#[inline(never)]
fn by_hand(user: &User, order: &Order) -> bool {
    user.roles.iter().any(|role| role == "finance") && order.amount < 50_000 && order.owner == user.id
}

/// The median time of one call, over batches of about two milliseconds.
fn measure(name: &str, count: usize, decide: &mut dyn FnMut() -> bool) {
    assert!(decide(), "{name} must allow what all others allow");
    let started = Instant::now();
    let mut batch = 0u32;
    while started.elapsed() < Duration::from_millis(2) {
        black_box(decide());
        batch += 1;
    }
    let mut times: Vec<f64> = (0..101)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..batch {
                black_box(decide());
            }
            started.elapsed().as_nanos() as f64 / f64::from(batch)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<44}{count:>8} {:>14.1} ns", times[times.len() / 2]);
}

fn main() -> Outcome<()> {
    let order = Order { amount: 4_200, owner: "u-7f3a".to_owned() };
    let roles = ["auditor", "finance", "support"].map(str::to_owned).into();
    let mut world = World { user: User { id: "u-7f3a".to_owned(), roles }, order };
    measure("handwritten if", 1, &mut || by_hand(black_box(&world.user), black_box(&world.order)));
    for count in COUNTS {
        casbin(&world, count)?;
        regorus(&world, count)?;
        cel(&world, count)?;
        oso(&world, count)?;
    }
    // Every engine also denies.
    world.order.amount = 72_000;
    assert!(!by_hand(&world.user, &world.order));
    denials(&world)
}

const MODEL: &str = "
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub_rule, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && eval(p.sub_rule)
";

/// https://casbin.org/docs/abac: one matcher, and the rule of each policy is evaluated.
fn enforcer(count: usize) -> Outcome<Enforcer> {
    let rule = r#""finance" in r.sub.roles && r.obj.amount < 50000 && r.obj.ownerId == r.sub.id"#;
    let policies = actions(count).map(|action| vec![rule.to_owned(), action]).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut enforcer = Enforcer::new(DefaultModel::from_str(MODEL).await?, MemoryAdapter::default()).await?;
        enforcer.add_policies(policies).await?;
        Ok(enforcer)
    })
}

fn casbin(world: &World, count: usize) -> Outcome<()> {
    let enforcer = enforcer(count)?;
    measure("casbin, rules evaluated", count, &mut || {
        enforcer.enforce((&world.user, &world.order, ACTION)).unwrap_or(false)
    });
    Ok(())
}

fn rego(count: usize) -> Outcome<regorus::CompiledPolicy> {
    let mut text = String::from("package bench\nimport rego.v1\ndefault allow := false\n");
    for action in actions(count) {
        text.push_str(&format!(
            "allow if {{\n  input.action == \"{action}\"\n  \"finance\" in input.user.roles\n  input.order.amount < 50000\n  input.order.ownerId == input.user.id\n}}\n"
        ));
    }
    let mut engine = regorus::Engine::new();
    // 10,000 rules are more than a file may have by default.
    engine.set_policy_length_config(regorus::PolicyLengthConfig {
        max_file_bytes: NonZeroUsize::new(16 << 20).ok_or("zero")?,
        max_lines: NonZeroUsize::new(1 << 20).ok_or("zero")?,
        ..Default::default()
    });
    engine.add_policy("bench.rego".to_owned(), text)?;
    Ok(engine.compile_with_entrypoint(&"data.bench.allow".into())?)
}

fn input(world: &World) -> Outcome<regorus::Value> {
    let json = serde_json::json!({ "action": ACTION, "user": world.user, "order": world.order });
    Ok(regorus::Value::from_json_str(&json.to_string())?)
}

/// A compiled policy is evaluated with one input after the other.
fn regorus(world: &World, count: usize) -> Outcome<()> {
    let policy = rego(count)?;
    let ready = input(world)?;
    let yes = regorus::Value::from(true);
    let ask = |input| policy.eval_with_input(input).is_ok_and(|answer| answer == yes);
    measure("regorus, input prepared", count, &mut || ask(ready.clone()));
    measure("regorus, input from JSON per call", count, &mut || input(world).is_ok_and(ask));
    Ok(())
}

const CEL: &str = "'finance' in user.roles && order.amount < 50000 && order.ownerId == user.id";

fn facts(env: &Arc<cel::Env>, world: &World) -> Outcome<cel::Context<'static, 'static>> {
    let mut context = cel::Context::with_env(env.clone());
    context.add_variable("user", &world.user).map_err(|e| e.to_string())?;
    context.add_variable("order", &world.order).map_err(|e| e.to_string())?;
    Ok(context)
}

/// Programs are compiled once; the caller keeps them, here by action.
fn cel(world: &World, count: usize) -> Outcome<()> {
    let env = Arc::new(cel::Env::stdlib());
    let programs: HashMap<String, cel::Program> = actions(count)
        .map(|action| Ok((action, env.compile(CEL).map_err(|e| e.to_string())?)))
        .collect::<Outcome<_>>()?;
    let ask = |context: &cel::Context<'_, '_>| {
        programs.get(black_box(ACTION)).and_then(|p| p.execute(context).ok()).is_some_and(|v| v == true.into())
    };
    let ready = facts(&env, world)?;
    measure("cel by a map, context prepared", count, &mut || ask(&ready));
    measure("cel by a map, context per call", count, &mut || facts(&env, world).is_ok_and(|context| ask(&context)));
    Ok(())
}

fn polar(count: usize) -> Outcome<Oso> {
    let mut oso = Oso::new();
    oso.register_class(User::get_polar_class())?;
    oso.register_class(Order::get_polar_class())?;
    let text: String = actions(count)
        .map(|action| {
            format!(
                "allow(user: User, \"{action}\", order: Order) if \"finance\" in user.roles and order.amount < 50000 and order.owner = user.id;\n"
            )
        })
        .collect();
    oso.load_str(&text)?;
    Ok(oso)
}

fn oso(world: &World, count: usize) -> Outcome<()> {
    let oso = polar(count)?;
    measure("oso", count, &mut || oso.is_allowed(world.user.clone(), ACTION, world.order.clone()).unwrap_or(false));
    Ok(())
}

fn denials(world: &World) -> Outcome<()> {
    assert!(!enforcer(1)?.enforce((&world.user, &world.order, ACTION))?);
    assert_eq!(rego(1)?.eval_with_input(input(world)?)?, regorus::Value::from(false));
    let env = Arc::new(cel::Env::stdlib());
    let program = env.compile(CEL).map_err(|e| e.to_string())?;
    assert!(program.execute(&facts(&env, world)?).map_err(|e| e.to_string())? == false.into());
    assert!(!polar(1)?.is_allowed(world.user.clone(), ACTION, world.order.clone())?);
    Ok(())
}
