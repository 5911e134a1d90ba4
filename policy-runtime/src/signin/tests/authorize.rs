//! The authorization endpoint, asked by browsers and by attackers.

use super::*;

/// Takes the hidden fields of a consent page, and answers it.
pub(super) async fn allow(f: &Fixture, uri: &str, page: &Told) -> Told {
    f.form(uri, &page.cookie(), &consent(page, "allow").iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>()).await
}

fn consent(page: &Told, decision: &str) -> Vec<(&'static str, String)> {
    let value = |name: &str| {
        let rest =
            page.body.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("{}", page.body));
        rest.split('"').next().unwrap().to_owned()
    };
    let mut fields: Vec<_> = ["auth_time", "until", "proof"].into_iter().map(|name| (name, value(name))).collect();
    fields.push(("decision", decision.to_owned()));
    fields
}

const ALICE: [(&str, &str); 2] = [("email", "alice@example.com"), ("password", PASSWORD)];

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let f = Fixture::new().await;
    for uri in [
        "https://evil.example/",
        "https://shop.example/callback/",
        "https://shop.example/callback?x=1",
        "https://shop.example/callback/../evil",
        "https://shop.example/Callback",
        "https://shop.example:443/callback",
        "http://shop.example/callback",
        "https://shop.example/callback#",
        "",
    ] {
        let told = f.get(&authorize_uri("shop", &[("redirect_uri", uri)]), "").await;
        assert_eq!((told.status, told.headers.get("location")), (StatusCode::BAD_REQUEST, None), "{uri}");
        let told = f.form(&authorize_uri("shop", &[("redirect_uri", uri)]), "", &ALICE).await;
        assert_eq!((told.status, told.headers.get("location")), (StatusCode::BAD_REQUEST, None), "{uri}");
    }
    for client in ["nobody", ""] {
        let told = f.get(&authorize_uri(client, &[]), "").await;
        assert_eq!((told.status, told.headers.get("location")), (StatusCode::BAD_REQUEST, None));
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example%2F", authorize_uri("shop", &[]));
    assert_eq!(f.get(&twice, "").await.status, StatusCode::BAD_REQUEST);
    f.stored.clients.set_enabled("shop", false).await.unwrap();
    assert_eq!(f.get(&authorize_uri("shop", &[]), "").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn addresses_to_come_back_to_are_https_or_on_this_machine() {
    let f = Fixture::new().await;
    let scope = Scope::application("acme", "shop").unwrap();
    for (n, (uri, good)) in [
        ("https://a.example/cb?x=1", true),
        ("http://127.0.0.1:8080/cb", true),
        ("http://localhost/cb", true),
        ("http://[::1]:9/cb", true),
        ("http://a.example/cb", false),
        ("http://127.0.0.1.evil.example/cb", false),
        ("https://user@a.example/cb", false),
        ("https://a.example/cb#f", false),
        ("https://a.example;x/cb", false),
        ("javascript:alert(1)", false),
        ("/cb", false),
        ("https://a.example/a b", false),
        ("https://a.example/\r\nset-cookie: a=b", false),
    ]
    .into_iter()
    .enumerate()
    {
        let settings = ClientSettings::new("x").redirect_uri(uri);
        assert_eq!(f.stored.clients.add_public(&format!("c{n}"), &scope, &settings).await.is_ok(), good, "{uri}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_question_goes_back_with_state_and_issuer() {
    let f = Fixture::new().await;
    for (otherwise, code) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "code id_token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "unheard:of"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
        (("prompt", "none login"), "invalid_request"),
        (("request", "ey.."), "request_not_supported"),
        (("request_uri", "https://evil.example"), "request_uri_not_supported"),
    ] {
        let told = f.get(&authorize_uri("shop", &[otherwise]), "").await;
        assert_eq!(told.status, StatusCode::SEE_OTHER, "{otherwise:?}");
        assert!(told.location().starts_with(&format!("{CALLBACK}?")));
        let of = |name| told.param(name);
        assert_eq!(
            (of("error").as_deref(), of("state").as_deref(), of("iss").as_deref()),
            (Some(code), Some("s-1"), Some(URL))
        );
    }
}

#[tokio::test]
async fn who_signed_in_goes_on_without_a_form_and_only_in_their_scope() {
    let f = Fixture::new().await;
    let uri = authorize_uri("shop", &[]);
    let page = f.get(&uri, "").await;
    assert!(page.body.contains("<label for=\"password\">") && !page.body.contains("<script"));
    let told = f.form(&uri, "", &ALICE).await;
    assert_eq!((told.param("iss").as_deref(), told.param("state").as_deref()), (Some(URL), Some("s-1")));
    let cookie = told.cookie();
    assert!(cookie.starts_with("__Host-"));
    assert!(f.get(&uri, &cookie).await.param("code").is_some());
    assert!(f.get(&authorize_uri("shop", &[("prompt", "none")]), &cookie).await.param("code").is_some());
    for again in [("prompt", "login"), ("max_age", "60")] {
        assert_eq!(f.get(&authorize_uri("shop", &[again]), &cookie).await.status, StatusCode::OK, "asked again");
    }
    let desk = Scope::application("acme", "desk").unwrap();
    f.stored.clients.add_public("desk", &desk, &ClientSettings::new("Desk").redirect_uri(CALLBACK)).await.unwrap();
    let elsewhere = f.get(&authorize_uri("desk", &[]), &cookie).await;
    assert!(elsewhere.body.contains("Sign in to Desk"), "the shop's Alice is nobody at the desk");
    let elsewhere = f.form(&authorize_uri("desk", &[]), &cookie, &ALICE).await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED, "nor is her password");
    f.store.change_user(&f.alice.id, &crate::identity::Change::default().enabled(false)).await.unwrap();
    assert!(f.get(&uri, &cookie).await.body.contains("Sign in to The shop"), "the session is nobody's any more");
}

#[tokio::test]
async fn a_wrong_sign_in_tells_nothing_and_sets_no_cookie() {
    let f = Fixture::new().await;
    let uri = authorize_uri("shop", &[("state", "\"><script>")]);
    let mut told = Vec::new();
    for fields in [("alice@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("no address", "x")] {
        let answer = f.form(&uri, "", &[("email", fields.0), ("password", fields.1)]).await;
        assert!(answer.headers.get("set-cookie").is_none() && answer.headers.get("location").is_none());
        assert!(!answer.body.contains("<script>"));
        told.push((answer.status, answer.body));
    }
    assert_eq!(told[0].0, StatusCode::UNAUTHORIZED);
    assert!(told.iter().all(|answer| *answer == told[0]), "an unknown address reads like a wrong password");
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in() {
    let f = Fixture::new().await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let host = ("host", "id.example");
    for from in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let told = f.send(Method::POST, &authorize_uri("shop", &[]), &[kind, host, from], encoded(&ALICE)).await;
        assert_eq!((told.status, told.headers.get("set-cookie")), (StatusCode::FORBIDDEN, None), "{from:?}");
    }
    let page = f.get(&authorize_uri("shop", &[]), "").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self' https://shop.example;"));
    assert_eq!(page.headers["referrer-policy"], "same-origin");
}

#[tokio::test]
async fn a_session_is_new_at_each_sign_in() {
    let f = Fixture::new().await;
    let uri = authorize_uri("shop", &[]);
    // A cookie that somebody put there does not become Alice's.
    let planted = "__Host-policy-session=planted-by-somebody-else";
    let told = f.form(&uri, planted, &ALICE).await;
    let first = told.cookie();
    assert_ne!(first, planted);
    assert_eq!(f.get(&uri, planted).await.status, StatusCode::OK, "it still is nobody's");
    let second = f.form(&uri, &first, &ALICE).await.cookie();
    assert_ne!(first, second);
    assert_eq!(f.get(&uri, &first).await.status, StatusCode::OK, "the session of before has ended");
    assert!(f.get(&uri, &second).await.param("code").is_some());
    assert_eq!(f.sessions.of_user(&f.alice.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_strangers_client_needs_leave_given_on_our_page_by_this_browser() {
    let f = Fixture::new().await;
    let uri = authorize_uri("stranger", &[("scope", "openid email")]);
    let page = f.form(&uri, "", &ALICE).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(page.body.contains("alice@example.com") && page.body.contains("read your e-mail address"));
    let silent = f.get(&authorize_uri("stranger", &[("prompt", "none")]), &page.cookie()).await;
    assert_eq!(silent.param("error").as_deref(), Some("consent_required"));

    let own = consent(&page, "allow");
    let with = |at: usize, value: &str| {
        let mut fields = own.clone();
        value.clone_into(&mut fields[at].1);
        fields
    };
    let send = async |uri: &str, cookie: &str, fields: Vec<(&'static str, String)>| {
        f.form(uri, cookie, &fields.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>()).await
    };
    let more = authorize_uri("stranger", &[("scope", "openid email offline_access")]);
    let other = f.form(&authorize_uri("shop", &[]), "", &ALICE).await.cookie();
    let later = (NOW + 3_600_000).to_string();
    for (uri, cookie, fields) in [
        (&more, page.cookie(), own.clone()),
        (&uri, other, own.clone()),
        (&uri, String::new(), own.clone()),
        (&uri, page.cookie(), with(2, "")),
        (&uri, page.cookie(), with(1, &later)),
        (&uri, page.cookie(), with(0, "1")),
    ] {
        let told = send(uri, &cookie, fields).await;
        assert_eq!((told.status, told.headers.get("location")), (StatusCode::FORBIDDEN, None));
    }
    let denied = send(&uri, &page.cookie(), consent(&page, "deny")).await;
    assert_eq!(denied.param("error").as_deref(), Some("access_denied"));
    assert!(allow(&f, &uri, &page).await.param("code").is_some());
    f.clock.advance(11 * 60_000);
    assert_eq!(allow(&f, &uri, &page).await.status, StatusCode::FORBIDDEN, "a page is good for ten minutes");
}
