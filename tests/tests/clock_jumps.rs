//! A clock that somebody sets while decisions are recorded: the chain holds, and nothing is removed that is younger than it should be.

use std::sync::Arc;

use policy_runtime::admin::{Admin, AdminError};
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::clock::{Clock as _, FixedClock};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{Directory as _, SqlStore};
use policy_runtime::sets::PolicySets;
use policy_runtime::{Denied, Participant, Policy, Scope, SecurityContext, abac_policy};

const NOW: i64 = 1_795_311_717_000;
const HOUR: i64 = 3_600_000;

#[abac_policy(authenticated, action = "ClockJumps.tick")]
fn tick() -> Result<(), Denied> {
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_outlive_a_clock_that_is_set() {
    let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
    let store = Arc::new(SqlStore::new(database.clone()));
    store.add_organization("acme").await.unwrap();
    store.add_application("acme", "shop").await.unwrap();
    for journal in [Journal::in_memory(), Journal::in_database(DatabaseAddress::Memory)] {
        let clock = FixedClock::at(NOW);
        let journal = journal.recording(Recording::all()).clock(Arc::new(clock.clone())).start().unwrap();
        let journal = Arc::new(journal);
        let policy = Policy::builder().organization("acme").application("shop").clock(Arc::new(clock.clone()));
        let policy = policy.audit(journal.clone()).build().unwrap();
        let shop = policy.application().to_string();
        let call = |id: &str| {
            let caller = Participant::builder(policy.application().clone(), id).build();
            SecurityContext::new(&policy, caller.into()).run(tick).unwrap();
        };
        call("before");
        clock.jump(24 * HOUR);
        call("ahead");
        clock.jump(-48 * HOUR);
        call("behind");
        clock.jump(24 * HOUR);
        call("after");
        journal.flush().await.unwrap();

        // Each is where its clock put it, and found by its id, which tells another time.
        let actors = async |filter: Filter| -> Vec<String> {
            let found = journal.query(&filter).await.unwrap();
            found.iter().map(|one| one.actor.rsplit('/').next().unwrap().to_owned()).collect()
        };
        let all = Filter::scope(&shop);
        assert_eq!(actors(all.clone()).await, ["before", "ahead", "behind", "after"]);
        assert_eq!(actors(all.clone().between(NOW - HOUR, NOW + HOUR)).await, ["before", "after"]);
        assert_eq!(actors(all.clone().between(NOW + 23 * HOUR, NOW + 25 * HOUR)).await, ["ahead"]);
        assert_eq!(actors(all.clone().between(NOW - 25 * HOUR, NOW - 23 * HOUR)).await, ["behind"]);
        for one in journal.query(&all).await.unwrap() {
            assert_eq!(journal.query(&all.clone().decision(&one.decision)).await.unwrap(), [one]);
        }
        journal.verify(&shop, None).await.unwrap();

        // Removed is what lies before in the chain and in time; what a wrong clock put ahead keeps what follows it.
        let admin = Admin::new(&policy, store.clone(), PolicySets::new(database.clone()), journal.clone());
        let operator = Participant::builder(Scope::System, "u-1").role("operator").mfa(true).build();
        let operator = SecurityContext::new(&policy, operator.into());
        let scope = policy.application();
        clock.advance(HOUR);
        let ahead = admin.retain_records(&operator, scope, clock.now().0 + 1).await;
        assert!(matches!(ahead, Err(AdminError::Invalid(_))), "{ahead:?}");
        assert_eq!(admin.retain_records(&operator, scope, clock.now().0).await.unwrap(), 1);
        assert_eq!(actors(all.clone()).await, ["ahead", "behind", "after"]);
        assert_eq!(admin.retain_records(&operator, scope, clock.now().0).await.unwrap(), 0);
        journal.verify(&shop, None).await.unwrap();
        call("later");
        journal.flush().await.unwrap();
        journal.verify(&shop, None).await.unwrap();
    }
}
