//! Activates versions of an organization's policy set as fast as it can, as its owner, and prints the number of each once it is
//! acknowledged, with a full stop after it; a test kills it meanwhile.
//!
//! `set-activator ADDRESS`

#![expect(clippy::print_stdout, reason = "a test reads it")]

use std::sync::Arc;

use policy_runtime::admin::{Admin, NewMember};
use policy_runtime::audit::journal::Journal;
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::SqlStore;
use policy_runtime::sets::PolicySets;
use policy_runtime::{Participant, Policy, Scope, SecurityContext, SetSource};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address: DatabaseAddress = std::env::args().nth(1).ok_or("usage: set-activator ADDRESS")?.parse()?;
    let policy = Policy::builder().organization("acme").application("desk").build()?;
    let acme = policy.organization();
    let database = Database::open(&address).await?;
    let (store, sets) = (SqlStore::new(database.clone()), PolicySets::new(database));
    let journal = Journal::in_database(address).start()?;
    let admin = Admin::new(&policy, Arc::new(store), sets, Arc::new(journal));
    let acting = |scope: Scope, role: &str| {
        SecurityContext::new(&policy, Participant::builder(scope, "u-1").role(role).build().into())
    };
    // It is there when this is not the first who was killed.
    let _ =
        admin.create_organization(&acting(Scope::System, "operator"), "acme", NewMember::new("ann@acme.example")).await;
    let owner = acting(acme.clone(), "owner");
    let (_, mut active) = admin.versions(&owner, &acme).await?;
    loop {
        let rule = format!("forbid Platform.service.host when participant.email == '{active}@example.com'");
        let source = SetSource { rules: vec![("r".to_owned(), rule)], ..SetSource::default() };
        let number = admin.draft(&owner, &acme, &source, "a test", Some(active)).await?;
        admin.validate(&owner, &acme, number).await?;
        active = admin.activate(&owner, &acme, number, active).await?.version;
        println!("{active}.");
    }
}
