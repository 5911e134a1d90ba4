//! Registering, founding an organization, accepting an invitation.

use super::*;

const SHOP: &str = "/app/acme/shop/register";

/// The whole of it, and of several clicks on one link at once exactly one wins.
async fn registers(database: &str) {
    let stand = Stand::of(database, "[server]\nfounding = true\n").await;
    let told = stand.post(SHOP, json!({ "email": " Ann@Example.com ", "displayName": "Ann" })).await;
    assert_eq!(told.status, 202, "{}", told.body);
    let token = stand.token(0).await;
    assert!(
        stand.prepared.store.users(&scope("shop")).await.unwrap().is_empty(),
        "nobody before the address is proved"
    );

    let weak = stand.post("/register/complete", json!({ "token": token, "password": "password2026" })).await;
    assert_eq!(weak.status, 422, "{}", weak.body);
    let click = || stand.post("/register/complete", json!({ "token": token, "password": PASSWORD }));
    let clicks = futures_util::future::join_all([click(), click(), click(), click()]).await;
    let won: Vec<&Answer> = clicks.iter().filter(|told| told.status == 204).collect();
    assert_eq!(won.len(), 1, "{clicks:?}");
    assert!(clicks.iter().all(|told| told.status == 204 || told.body.contains("no longer good")), "{clicks:?}");
    assert!(won[0].head.contains("HttpOnly; SameSite=Lax") && won[0].head.contains("Secure"));
    assert!(stand.is_signed_in(&won[0].cookies()).await);
    assert_eq!(click().await.status, 400, "once");

    let users = stand.prepared.store.users(&scope("shop")).await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!((users[0].email.as_deref(), users[0].display_name.as_deref()), (Some("Ann@Example.com"), Some("Ann")));
    assert!(users[0].roles.contains("customer") && users[0].roles.len() == 1, "as the scope says, not the body");
    assert_eq!(stand.login("shop", "ann@example.com", PASSWORD).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_registers_in_sqlite() {
    let database = Sqlite::new("join");
    registers(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_registers_in_postgres() {
    registers(&tests::postgres::fresh_database().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_address_is_known_shows_nowhere() {
    let stand = Stand::new().await;
    stand.user("shop", "known@example.com").await;
    let mut told = Vec::new();
    for email in ["known@example.com", "stranger@example.com"] {
        for path in [SHOP, "/app/acme/shop/password/forgot", "/app/acme/shop/login/lookup"] {
            let answer = stand.post(path, json!({ "email": email })).await;
            let head: Vec<&str> = answer.head.lines().filter(|line| !line.contains("x-request-id")).collect();
            told.push((
                path,
                answer.status,
                answer.body.clone(),
                head.join("\n").replace(|c: char| c.is_ascii_digit(), ""),
            ));
        }
    }
    let (known, strangers) = told.split_at(3);
    assert_eq!(known, strangers);
    // Two letters to the one who is known (one says so, one lets choose another password), one to the stranger.
    stand.sink.letter(2).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let letters = stand.sink.letters();
    let to = |address: &str| letters.iter().filter(|letter| letter.to[0].contains(address)).collect::<Vec<_>>();
    assert_eq!((to("known@").len(), to("stranger@").len()), (2, 1), "{letters:?}");
    assert!(to("known@").iter().any(|letter| letter.text.contains("registered already") && letter.token().is_none()));
}

async fn founds(database: &str) {
    let stand = Stand::of(database, "[server]\nfounding = true\n").await;
    let told = stand.post("/org/signup", json!({ "email": "eve@example.com", "displayName": "Eve" })).await;
    assert_eq!(told.status, 202, "{}", told.body);
    let token = stand.token(0).await;
    let found = |name: &str| json!({ "token": token, "orgName": name, "orgDescription": "x", "password": PASSWORD });
    assert_eq!(stand.post("/org/signup/complete", found("Acme")).await.status, 409, "it is another's");
    assert_eq!(stand.post("/org/signup/complete", found("***")).await.status, 400);
    let clicks = [0, 1, 2].map(|_| stand.post("/org/signup/complete", found("Rockets & Söhne")));
    let clicks = futures_util::future::join_all(clicks).await;
    assert_eq!(clicks.iter().filter(|told| told.status == 200).count(), 1, "{clicks:?}");
    let told = clicks.into_iter().find(|told| told.status == 200).unwrap();
    assert_eq!((told.status, told.json().unwrap()["orgId"].as_str()), (200, Some("rockets-s-hne")), "{}", told.body);
    assert!(stand.is_signed_in(&told.cookies()).await);
    assert_eq!(stand.post("/org/signup/complete", found("Rockets two")).await.status, 400, "once");
    let owners = stand.prepared.store.users(&Scope::organization("rockets-s-hne").unwrap()).await.unwrap();
    assert!(owners.len() == 1 && owners[0].roles.contains("owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_founds_an_organization_unless_that_is_on() {
    let off = Stand::of("sqlite::memory:", "").await;
    assert_eq!(off.post("/org/signup", json!({ "email": "eve@example.com" })).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_founds_an_organization_in_sqlite() {
    let database = Sqlite::new("founds");
    founds(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_founds_an_organization_in_postgres() {
    founds(&tests::postgres::fresh_database().unwrap()).await;
}

async fn invites(database: &str) {
    use policy_runtime::{Participant, SecurityContext};
    let stand = Stand::of(database, "").await;
    let bob = NewUser::new(scope("shop"), "bob@example.com").role("finance");
    let bob = stand.prepared.store.add_user(bob).await.unwrap();
    let owner = Participant::builder(Scope::organization("acme").unwrap(), "u-1").role("owner").build();
    let owner = SecurityContext::new(&stand.prepared.policy, owner.into());
    let invitation = stand.prepared.admin.invite(&owner, &scope("shop"), &bob.id).await.unwrap();
    assert_eq!(stand.token(0).await, *invitation.expose(), "the letter has it, too");

    let details = stand.get("", &format!("/api/auth/invite/details?token={}", invitation.expose())).await;
    assert_eq!(details.json().unwrap()["email"], "bob@example.com");
    let body = json!({ "token": invitation.expose(), "password": PASSWORD });
    assert_eq!(stand.post("/password/reset", body.clone()).await.status, 400, "it is for nothing else");
    assert_eq!(stand.post("/register/complete", body.clone()).await.status, 400);
    let accept = || stand.post("/invite/accept", body.clone());
    let clicks = futures_util::future::join_all([accept(), accept()]).await;
    assert_eq!(clicks.iter().filter(|told| told.status == 204).count(), 1, "{clicks:?}");
    let cookie = clicks.iter().find(|told| told.status == 204).unwrap().cookies();
    assert!(stand.is_signed_in(&cookie).await);
    let bob = stand.prepared.store.user(&bob.id).await.unwrap().unwrap();
    assert!(bob.roles.contains("finance"), "what the administrator gave stays");

    // Whoever can sign in is invited to bring a provider: whoever reads the letter does not get in by a password of their own.
    let invitation = stand.prepared.admin.invite(&owner, &scope("shop"), &bob.id).await.unwrap();
    let told = stand.post("/invite/accept", json!({ "token": invitation.expose(), "password": OTHER })).await;
    assert_eq!(told.status, 400, "{}", told.body);
    assert_eq!(stand.login("shop", "bob@example.com", PASSWORD).await.status, 204);
    assert!(stand.is_signed_in(&cookie).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_user_chooses_a_password_in_sqlite() {
    let database = Sqlite::new("invites");
    invites(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_user_chooses_a_password_in_postgres() {
    invites(&tests::postgres::fresh_database().unwrap()).await;
}
