//! Links in letters by the clock: each is good until its time, and not a moment longer.

use policy_core::value::Millis;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::linking::known_alone;
use super::provider::SECRET;
use super::relying::{Stage, stage};
use super::*;
use crate::identity::link::{Link, NewLink, Purpose};
use crate::identity::{EmailKey, ExternalIdentity, IdentityStore as _};

const NEW: &str = "another rather long pass phrase";

impl Stage {
    /// The token of a link as a letter has it.
    async fn letter(&self, purpose: Purpose) -> String {
        let email = if purpose == Purpose::Reset { "alice@example.com" } else { "eve@example.com" };
        let scope = if purpose == Purpose::Found { Scope::System } else { self.shop.clone() };
        let user = (purpose == Purpose::Reset).then(|| self.f.alice.id.clone());
        let link = Link { purpose, scope, email: email.to_owned(), user, display_name: None, back: None };
        let (token, hash) = clients::fresh_secret("").unwrap();
        let new = NewLink { link: &link, email: &EmailKey::new(email).unwrap(), hash: &hash, now: self.f.clock.now() };
        assert!(self.f.store.offer_link(new).await.unwrap());
        token.expose().clone()
    }

    async fn invitation(&self, user: &User, token: &str) {
        let until = Millis(self.f.clock.now().0 + 7 * 24 * 3_600_000);
        self.f.store.invite(&user.id, &Sha256::digest(token).into(), until).await.unwrap();
    }
}

#[tokio::test]
async fn a_letter_is_good_until_its_time_and_not_a_moment_longer() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    for (purpose, path, hours) in [
        (Purpose::Register, "/register/complete", 24.0),
        (Purpose::Found, "/org/signup/complete", 24.0),
        (Purpose::Reset, "/password/reset", 0.5),
    ] {
        for (late, is_good) in [(0, false), (-1, true)] {
            let token = stage.letter(purpose).await;
            #[expect(clippy::cast_possible_truncation, reason = "hours of a test")]
            stage.f.clock.advance((hours * 3_600_000.0) as i64 + late);
            let mut body = json!({ "token": token, "password": NEW });
            if purpose == Purpose::Found {
                body["orgName"] = json!("Rockets");
            }
            let told = stage.post(path, "", &body).await;
            assert_eq!(told.status.is_success(), is_good, "{purpose:?} {late}: {}", told.body);
            assert!(is_good || told.body.contains("no longer good"), "{purpose:?}: {}", told.body);
        }
    }
}

#[tokio::test]
async fn an_invitation_is_good_until_its_time_and_replaces_nothing() {
    let stage = stage("oidc", known_alone(), SECRET).await;
    let carol = stage.f.store.add_user(NewUser::new(stage.shop.clone(), "carol@example.com")).await.unwrap();
    let accept = async |token: &str| {
        let body = json!({ "token": token, "password": NEW });
        stage.post("/invite/accept", "", &body).await.status
    };
    stage.invitation(&carol, "late").await;
    stage.f.clock.advance(7 * 24 * 3_600_000);
    assert_eq!(accept("late").await, StatusCode::BAD_REQUEST);
    stage.invitation(&carol, "in time").await;
    stage.f.clock.advance(7 * 24 * 3_600_000 - 1);
    assert_eq!(accept("in time").await, StatusCode::NO_CONTENT);
    // She has a password now, and whoever came by a provider has another way in: no letter gives a second one.
    let before = stage.f.store.password_hash(&carol.id).await.unwrap().unwrap();
    stage.invitation(&carol, "again").await;
    assert_eq!(accept("again").await, StatusCode::BAD_REQUEST);
    assert_eq!(stage.f.store.password_hash(&carol.id).await.unwrap().unwrap().expose(), before.expose());
    let dave = stage.f.store.add_user(NewUser::new(stage.shop.clone(), "dave@corp.example")).await.unwrap();
    stage.invitation(&dave, "before").await;
    let at_corp = ExternalIdentity {
        configuration: "corp".to_owned(),
        issuer: stage.provider.url(),
        machine: false,
        number: false,
        subject: "dave-1".to_owned(),
    };
    let email = EmailKey::new("dave@corp.example").unwrap();
    assert!(stage.f.store.bind(&stage.shop, &email, &at_corp).await.unwrap().is_some());
    assert_eq!(accept("before").await, StatusCode::BAD_REQUEST);
    assert!(stage.f.store.password_hash(&dave.id).await.unwrap().is_none());
}
