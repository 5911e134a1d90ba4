//! The todo scenario of AuthZEN's interop tests: who there is, what may be done, and the names that requests use.
//!
//! Roles and addresses live here, with the decision point; requests carry an opaque subject id. `ownerID` of a todo comes with
//! the request, because nothing is stored of todos: the application's setting believes what requests say of resources.

use std::sync::Arc;

use policy_runtime::authn::Chain;
use policy_runtime::authn::api_key::{ApiKeyAuthenticator, generate};
use policy_runtime::authzen::{AuthZen, AuthZenBuilder, Catalog};
use policy_runtime::clock::SystemClock;
use policy_runtime::identity::MemoryStore;
use policy_runtime::secret::Secret;
use policy_runtime::{Denied, Entity, Participant, Policy, Scope, abac_policy};

/// A todo, as far as rules look at it.
#[derive(Debug, Entity)]
#[entity(namespace = "todo")]
pub struct Todo {
    /// Its id.
    pub id: String,
    /// The address of its owner.
    #[attributes(rename = "ownerID")]
    pub owner_id: Option<String>,
}

/// Looks at a user.
///
/// # Errors
/// When the caller may not.
#[abac_policy(authenticated, action = "can_read_user")]
pub fn can_read_user() -> Result<(), Denied> {
    Ok(())
}

/// Looks at all todos.
///
/// # Errors
/// When the caller may not.
#[abac_policy(authenticated, action = "can_read_todos")]
pub fn can_read_todos() -> Result<(), Denied> {
    Ok(())
}

/// Makes a todo.
///
/// # Errors
/// When the caller may not.
#[abac_policy(
    participant.roles contains "editor" or participant.roles contains "admin",
    action = "can_create_todo"
)]
pub fn can_create_todo() -> Result<(), Denied> {
    Ok(())
}

/// Changes a todo.
///
/// # Errors
/// When the caller may not.
#[abac_policy(
    participant.roles contains "evil_genius"
        or (participant.roles contains "editor" or participant.roles contains "admin") and todo.ownerID == participant.email,
    action = "can_update_todo",
    resource = todo
)]
pub fn can_update_todo(todo: &Todo) -> Result<(), Denied> {
    let _ = todo;
    Ok(())
}

/// Deletes a todo.
///
/// # Errors
/// When the caller may not.
#[abac_policy(
    participant.roles contains "admin" or participant.roles contains "editor" and todo.ownerID == participant.email,
    action = "can_delete_todo",
    resource = todo
)]
pub fn can_delete_todo(todo: &Todo) -> Result<(), Denied> {
    let _ = todo;
    Ok(())
}

/// The subjects: opaque id, address, roles.
pub const PEOPLE: [(&str, &str, &[&str]); 5] = [
    ("CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "rick@the-citadel.com", &["admin", "evil_genius"]),
    ("CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "morty@the-citadel.com", &["editor"]),
    ("CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "summer@the-smiths.com", &["editor"]),
    ("CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "beth@the-smiths.com", &["viewer"]),
    ("CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs", "jerry@the-smiths.com", &["viewer"]),
];

/// The application.
///
/// # Panics
/// Never: the names are slugs.
#[expect(clippy::expect_used, reason = "the names are slugs")]
pub fn scope() -> Scope {
    Scope::application("todos", "todo").expect("both are slugs")
}

/// The policies of the scenario.
///
/// # Errors
/// When the annotations above do not hold together.
pub fn policy() -> Result<Policy, policy_runtime::PolicyError> {
    Policy::builder().organization("todos").application("todo").build()
}

/// The people of the scenario.
pub fn people() -> Catalog {
    PEOPLE.iter().fold(Catalog::default(), |all, (id, email, roles)| {
        let person = Participant::builder(scope(), id).email(email).roles(roles.iter().copied());
        all.with_subject("user", id, person.build())
    })
}

/// The decision point without its settings: names and people.
pub fn decisions(policy: &Policy, url: &str) -> AuthZenBuilder {
    let named =
        |all: AuthZenBuilder, (kind, name): (&str, &str)| all.action(kind, name, &format!("tests::todo::{name}"));
    [
        ("user", "can_read_user"),
        ("todo", "can_read_todos"),
        ("todo", "can_create_todo"),
        ("todo", "can_update_todo"),
        ("todo", "can_delete_todo"),
    ]
    .into_iter()
    .fold(AuthZen::builder(policy, url).subjects(people()), named)
}

/// Who may ask: the holder of the key that is made here, of some scope with some role.
///
/// # Errors
/// When the system gives no random numbers.
pub fn caller(scope: Scope, role: &str) -> Result<(Chain, Secret<String>), Box<dyn std::error::Error + Send + Sync>> {
    let store = MemoryStore::default();
    if let Some(organization) = scope.organization_id() {
        store.create_organization(organization.as_str())?;
        if let Some(application) = scope.application_id() {
            store.create_application(organization.as_str(), application.as_str())?;
        }
    }
    let (key, mut record) = generate(scope)?;
    record.roles.insert(role.to_owned());
    store.insert_key(record)?;
    let chain = Chain::builder().with(ApiKeyAuthenticator::new(Arc::new(store), Arc::new(SystemClock))).build();
    Ok((chain, key))
}
