//! Sessions that all servers know, and their ends: by their owner, by a client, by a change.

use super::*;
use crate::authn::session::written;
use crate::authn::{Authenticated, Ways};
use crate::identity::{Change, EndOf, SessionStore as _};
use crate::signin::grants::{Leave, Shown};

const BACK: &str = "https://shop.example/bye";
const ALICE: [(&str, &str); 2] = [("email", "alice@example.com"), ("password", PASSWORD)];
const END: &str = "/api/auth/oauth/end_session";

/// A client that browsers come back to after signing out.
async fn fixture() -> Fixture {
    let f = Fixture::new().await;
    let shop = Scope::application("acme", "shop").unwrap();
    let settings = ClientSettings::new("The page").redirect_uri(CALLBACK).logout_uri(BACK);
    f.stored.clients.add_public("page", &shop, &settings).await.unwrap();
    f
}

impl Fixture {
    /// Signs Alice in for the page; gives her cookie and what the page got.
    async fn at_page(&self) -> (String, Told) {
        let told = self.form(&authorize_uri("page", &[]), "", &ALICE).await;
        let tokens = self.exchange("page", &told.param("code").unwrap()).await;
        (told.cookie(), tokens)
    }

    async fn is_signed_in(&self, cookie: &str) -> bool {
        self.get(&authorize_uri("page", &[("prompt", "none")]), cookie).await.param("code").is_some()
    }

    /// Another server over the same database.
    fn elsewhere(&self) -> Sessions {
        Sessions::new(Arc::new(self.clock.clone())).stored_in(self.store.clone())
    }
}

fn value(cookie: &str) -> Secret<String> {
    Secret::new(cookie.split_once('=').unwrap().1.to_owned())
}

#[tokio::test]
async fn a_client_signs_its_user_out_and_goes_back_to_its_own_address_alone() {
    let f = fixture().await;
    let (cookie, tokens) = f.at_page().await;
    let (hint, refresh) = (tokens.text("id_token"), tokens.text("refresh_token"));
    for (uri, client) in [
        ("https://evil.example/", "page"),
        ("https://shop.example/bye/", "page"),
        ("https://shop.example/bye?x=1", "page"),
        // Addresses to come back to with a code are not those.
        (CALLBACK, "page"),
        (BACK, "shop"),
        (BACK, "nobody"),
    ] {
        let fields = encoded(&[("id_token_hint", &hint), ("client_id", client), ("post_logout_redirect_uri", uri)]);
        let told = f.get(&format!("{END}?{fields}"), &cookie).await;
        assert_eq!((told.status, told.headers.get("location")), (StatusCode::BAD_REQUEST, None), "{uri} {client}");
    }
    assert!(f.is_signed_in(&cookie).await);
    let fields = encoded(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BACK), ("state", "a&b")]);
    // A hint is good after its time too.
    f.clock.advance(20 * 60_000);
    let told = f.get(&format!("{END}?{fields}"), &cookie).await;
    assert_eq!(told.location(), format!("{BACK}?state=a%26b"));
    assert!(told.cookie().ends_with("policy-session="), "the cookie is taken away");
    assert!(!f.is_signed_in(&cookie).await);
    let again = f.refresh("page", &refresh).await;
    assert_eq!((again.status, again.text("error").as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    let document = f.get("/.well-known/openid-configuration", "").await;
    assert_eq!(document.text("end_session_endpoint"), format!("{URL}{END}"));
}

#[tokio::test]
async fn nobody_is_signed_out_by_others_unasked() {
    let f = fixture().await;
    let (cookie, _) = f.at_page().await;
    let bob = NewUser::new(Scope::application("acme", "shop").unwrap(), "bob@example.com");
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    f.store.add_user(bob.password_hash(hashed)).await.unwrap();
    let told = f.form(&authorize_uri("page", &[]), "", &[("email", "bob@example.com"), ("password", PASSWORD)]).await;
    let bobs = f.exchange("page", &told.param("code").unwrap()).await;
    for hint in ["", "ey.ey.ey", &bobs.text("id_token"), &bobs.text("access_token")] {
        let told = f.get(&format!("{END}?{}", encoded(&[("id_token_hint", hint)])), &cookie).await;
        assert!(
            told.status == StatusCode::OK && told.body.contains("<button type=\"submit\">Sign out"),
            "{}",
            told.body
        );
        assert!(told.headers.get("set-cookie").is_none() && f.is_signed_in(&cookie).await, "{hint:.20}");
    }
    // Nor by a form of another site; the answer to the page of ours does.
    let headers = [("host", "id.example"), ("origin", "https://evil.example"), ("cookie", cookie.as_str())];
    let told = f.send(Method::POST, &format!("{END}?client_id=page"), &headers, String::new()).await;
    assert!(told.headers.get("set-cookie").is_none() && f.is_signed_in(&cookie).await);
    let told = f.form(&format!("{END}?client_id=page"), &cookie, &[]).await;
    assert!(told.body.contains("You are signed out") && !f.is_signed_in(&cookie).await);
}

#[tokio::test]
async fn sessions_are_known_to_every_server_and_end_everywhere() {
    let f = fixture().await;
    let (cookie, _) = f.at_page().await;
    let (_, tokens) = f.at_page().await;
    let elsewhere = f.elsewhere();
    let known = async |sessions: &Sessions| {
        let chain = Chain::builder().with(sessions.clone()).build();
        let credentials = Credentials::of(Credential::Session(value(&cookie)));
        matches!(chain.authenticate(&credentials).await, Outcome::Authenticated(_))
    };
    assert!(known(&elsewhere).await);
    let before = f.store.changed_since(None).await.unwrap().number;
    let ended = elsewhere.end(&value(&cookie)).await.unwrap().unwrap();
    assert!(!known(&f.sessions).await && !f.is_signed_in(&cookie).await);
    let changes = f.store.changed_since(Some(before)).await.unwrap();
    assert!(changes.participants.contains(&*ended), "every gateway learns of it");
    assert!(f.refresh("page", &tokens.text("refresh_token")).await.status.is_success(), "other sessions go on");
    assert_eq!(f.store.end_sessions(EndOf::User(&f.alice.id)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_leaves_what_was_given_for_later() {
    let f = fixture().await;
    let (cookie, tokens) = f.at_page().await;
    f.clock.advance(20 * 60_000);
    assert!(f.is_signed_in(&cookie).await, "use keeps it alive");
    f.clock.advance(29 * 60_000);
    f.sessions.sweep().await.unwrap();
    assert!(f.is_signed_in(&cookie).await);
    f.clock.advance(31 * 60_000);
    assert!(!f.is_signed_in(&cookie).await);
    f.sessions.sweep().await.unwrap();
    assert_eq!(f.store.sessions_of(&f.alice.id).await.unwrap(), []);
    assert!(f.refresh("page", &tokens.text("refresh_token")).await.status.is_success());
}

#[tokio::test]
async fn a_session_follows_its_user() {
    let f = fixture().await;
    let (cookie, _) = f.at_page().await;
    let who = async |cookie: &str| {
        let credentials = Credentials::of(Credential::Session(value(cookie)));
        match f.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) => Some(found.into_participant()),
            Outcome::NotPresented | Outcome::Rejected(_) => None,
        }
    };
    f.store.change_user(&f.alice.id, &Change::default().add_role("admin")).await.unwrap();
    assert_eq!(who(&cookie).await.unwrap().roles(), ["admin".into(), "finance".into()]);
    // What a provider said besides is only as good as the sign-in.
    let alice = f.store.user(&f.alice.id).await.unwrap().unwrap();
    let by_provider = alice.participant().auth_type("oidc").role("of-claims").mfa(true).subject("a-1").build();
    let found = Authenticated::new(by_provider.clone(), "token").epoch(alice.epoch).amr(["mfa"]);
    let provided = format!("c={}", f.sessions.start(&found).await.unwrap().expose());
    assert_eq!(who(&provided).await.unwrap(), by_provider);
    let hooked = alice.participant().auth_type("password").role("of-a-hook").build();
    let hooked = f.sessions.start(&Authenticated::new(hooked, "password").epoch(alice.epoch)).await.unwrap();
    let hooked = format!("c={}", hooked.expose());
    assert!(who(&hooked).await.is_some());
    let (mut late, _) = f.store.session(&written(value(&provided).expose())).await.unwrap().unwrap();
    f.store.change_user(&f.alice.id, &Change::default().remove_role("admin")).await.unwrap();
    assert!(who(&provided).await.is_none() && who(&hooked).await.is_none() && who(&cookie).await.is_some());
    assert!(f.sessions.start(&found).await.is_err(), "changed while signing in");
    late.id = "s_late".to_owned();
    assert!(!f.store.open_session("late", &late, 9).await.unwrap(), "and between the look and the write");
    f.store.set_suspended("acme", true).await.unwrap();
    assert!(who(&cookie).await.is_none());
    f.store.set_suspended("acme", false).await.unwrap();
    assert!(who(&cookie).await.is_some());
    let hashed = hash(&Secret::new("another long pass phrase".to_owned())).unwrap();
    f.store.set_password(&f.alice.id, Some(&hashed)).await.unwrap();
    assert!(who(&cookie).await.is_none(), "whoever got in by the password before is out");
}

#[tokio::test]
async fn ones_own_sessions_are_listed_and_ended_and_nobody_elses() {
    let f = fixture().await;
    let ((first, _), (second, _)) = (f.at_page().await, f.at_page().await);
    let listed = f.get("/api/auth/sessions", &second).await.json();
    let all = listed.as_array().unwrap();
    let current: Vec<bool> = all.iter().map(|one| one["current"].as_bool().unwrap()).collect();
    assert_eq!((all.len(), current.iter().filter(|is| **is).count()), (2, 1));
    assert!(!listed.to_string().contains(value(&first).expose()), "no cookie is told");
    assert_eq!(f.get("/api/auth/sessions", "").await.status, StatusCode::UNAUTHORIZED);
    let other = all.iter().find(|one| one["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let uri = format!("/api/auth/sessions/{other}");
    let from = |origin| [("host", "id.example"), ("origin", origin), ("cookie", second.as_str())];
    let told = f.send(Method::DELETE, &uri, &from("https://evil.example"), String::new()).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    let bob = NewUser::new(Scope::application("acme", "shop").unwrap(), "bob@example.com");
    let bob = f.store.add_user(bob).await.unwrap();
    assert!(!f.sessions.end_own(&bob.id, &other).await.unwrap());
    assert!(f.is_signed_in(&first).await);
    let told = f.send(Method::DELETE, &uri, &from("https://id.example"), String::new()).await;
    assert_eq!(told.status, StatusCode::NO_CONTENT);
    assert!(!f.is_signed_in(&first).await && f.is_signed_in(&second).await);
    let told = f.send(Method::DELETE, &uri, &from("https://id.example"), String::new()).await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_counts_in_another_application_only_where_the_organization_lists_both() {
    let f = fixture().await;
    let (cookie, _) = f.at_page().await;
    let desk = Scope::application("acme", "desk").unwrap();
    f.stored.clients.add_public("desk", &desk, &ClientSettings::new("Desk").redirect_uri(CALLBACK)).await.unwrap();
    let own = f.store.add_user(NewUser::new(desk, "ALICE@example.com").role("clerk")).await.unwrap();
    f.store.add_organization("globex").await.unwrap();
    f.store.add_application("globex", "mill").await.unwrap();
    let at_desk = async || f.get(&authorize_uri("desk", &[]), &cookie).await;
    let listed = |ids: &[&str]| ids.iter().map(|id| policy_core::Slug::new(id).unwrap()).collect();
    for apart in [&[][..], &["shop"], &["desk"]] {
        f.store.share_in("acme", &listed(apart)).await.unwrap();
        assert!(at_desk().await.body.contains("Sign in to Desk"), "{apart:?}");
    }
    assert!(f.store.share_in("acme", &listed(&["shop", "mill"])).await.is_err(), "another organization's");
    f.store.share_in("acme", &listed(&["shop", "desk"])).await.unwrap();
    let tokens = f.exchange("desk", &at_desk().await.param("code").unwrap()).await;
    // Her user there, with the roles of that one; and out with the session that it came of.
    let told = f.get("/api/auth/sessions", &cookie).await.json();
    assert_eq!(told.as_array().unwrap().len(), 1);
    let grants = f.stored.grants.of_user(&own.id).await.unwrap();
    assert_eq!(grants.len(), 1);
    f.sessions.end(&value(&cookie)).await.unwrap();
    assert!(!f.refresh("desk", &tokens.text("refresh_token")).await.status.is_success());
    // Whoever has no user there, or a disabled one, is nobody there.
    let (cookie, _) = f.at_page().await;
    f.store.change_user(&own.id, &Change::default().enabled(false)).await.unwrap();
    let told = f.get(&authorize_uri("desk", &[]), &cookie).await;
    assert!(told.body.contains("Sign in to Desk"));
    f.store.drop_user(&own.id).await.unwrap();
    assert!(f.get(&authorize_uri("desk", &[]), &cookie).await.body.contains("Sign in to Desk"));
}

#[tokio::test]
async fn what_a_client_was_given_ends_with_the_method_by_which_its_user_came_in() {
    let f = fixture().await;
    let shop = Scope::application("acme", "shop").unwrap();
    let (cookie, tokens) = f.at_page().await;
    // By a form, and by the session that it has opened.
    let code = f.get(&authorize_uri("page", &[("prompt", "none")]), &cookie).await.param("code").unwrap();
    let later = f.exchange("page", &code).await;
    let waiting = f.get(&authorize_uri("page", &[("prompt", "none")]), &cookie).await.param("code").unwrap();
    assert_eq!(f.refresh("page", &later.text("refresh_token")).await.status, StatusCode::OK, "it is on");
    f.chain.set_methods(&shop, Some(["token".to_owned()].into()));
    assert_eq!(f.refresh("page", &tokens.text("refresh_token")).await.text("error"), "invalid_grant");
    assert_eq!(f.exchange("page", &waiting).await.text("error"), "invalid_grant");
    f.chain.set_methods(&shop, None);
    assert_eq!(f.refresh("page", &tokens.text("refresh_token")).await.text("error"), "invalid_grant", "it has ended");
}

#[tokio::test]
async fn a_grant_knows_the_providers_by_which_its_user_came_in() {
    let f = fixture().await;
    let ways = r#"{"methods":["token"],"providers":["corp"]}"#;
    let ways: Ways = serde_json::from_str(ways).unwrap();
    let leave = Leave {
        client: "page",
        user: &f.alice.id,
        redirect_uri: CALLBACK,
        challenge: CHALLENGE,
        nonce: None,
        words: "openid offline_access",
        amr: "pwd",
        auth_time: None,
        session: None,
        ways: &ways,
    };
    let grants = &f.stored.grants;
    let code = grants.offer(&leave).await.unwrap().unwrap();
    let Shown::Good(found) = grants.exchange("page", code.expose(), |_| true).await.unwrap() else {
        panic!("no grant")
    };
    assert_eq!(found.grant.ways, ways);
    let refresh = found.refresh.unwrap();
    let Shown::Good((again, _)) = grants.refresh("page", refresh.expose(), |_| true).await.unwrap() else {
        panic!("no refresh")
    };
    assert_eq!(again.ways, ways);
    assert_eq!(grants.of_user(&f.alice.id).await.unwrap()[0].ways, ways);
}

#[tokio::test]
async fn a_code_that_is_offered_as_its_session_ends_is_none() {
    let f = fixture().await;
    let (cookie, tokens) = f.at_page().await;
    let session = f.store.sessions_of(&f.alice.id).await.unwrap().remove(0).id;
    let leave = Leave {
        client: "page",
        user: &f.alice.id,
        redirect_uri: CALLBACK,
        challenge: CHALLENGE,
        nonce: None,
        words: "openid offline_access",
        amr: "pwd",
        auth_time: None,
        session: Some(&session),
        ways: &Ways::default(),
    };
    let grants = &f.stored.grants;
    let early = grants.offer(&leave).await.unwrap().unwrap();
    let used = grants.offer(&leave).await.unwrap().unwrap();
    assert!(matches!(grants.exchange("page", used.expose(), |_| true).await.unwrap(), Shown::Good(_)));
    assert_eq!(grants.of_user(&f.alice.id).await.unwrap().len(), 2);
    // Its question had found the session, and comes to the code when that has just ended.
    f.sessions.end(&value(&cookie)).await.unwrap();
    assert!(grants.offer(&leave).await.unwrap().is_none());
    for code in [early, used] {
        assert!(matches!(grants.exchange("page", code.expose(), |_| true).await.unwrap(), Shown::Unknown));
    }
    assert_eq!(f.refresh("page", &tokens.text("refresh_token")).await.text("error"), "invalid_grant");
    assert!(!f.is_active("shop", &tokens.text("access_token")).await);
    assert_eq!(grants.of_user(&f.alice.id).await.unwrap(), []);
}

#[tokio::test]
async fn what_a_session_gave_elsewhere_ends_with_its_user_too() {
    let f = fixture().await;
    let desk = Scope::application("acme", "desk").unwrap();
    f.stored.clients.add_public("desk", &desk, &ClientSettings::new("Desk").redirect_uri(CALLBACK)).await.unwrap();
    let there = f.store.add_user(NewUser::new(desk, "alice@example.com")).await.unwrap();
    let both = ["shop", "desk"].map(|id| policy_core::Slug::new(id).unwrap()).into();
    f.store.share_in("acme", &both).await.unwrap();
    for gone in [false, true] {
        let (cookie, _) = f.at_page().await;
        let at_desk = async || f.get(&authorize_uri("desk", &[]), &cookie).await.param("code").unwrap();
        let tokens = f.exchange("desk", &at_desk().await).await;
        let code = at_desk().await;
        if gone {
            f.store.drop_user(&f.alice.id).await.unwrap();
        } else {
            let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
            f.store.set_password(&f.alice.id, Some(&hashed)).await.unwrap();
        }
        assert_eq!(f.refresh("desk", &tokens.text("refresh_token")).await.text("error"), "invalid_grant", "{gone}");
        assert_eq!(f.exchange("desk", &code).await.text("error"), "invalid_grant", "{gone}");
        assert_eq!(f.stored.grants.of_user(&there.id).await.unwrap(), []);
    }
}
