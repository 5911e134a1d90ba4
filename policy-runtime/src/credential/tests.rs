//! Headers that are read, and headers that are refused.

use super::*;
use proptest::prelude::*;

fn read(pairs: &[(&str, &str)]) -> Result<Credentials, CredentialError> {
    Credentials::from_pairs(pairs.iter().map(|(n, v)| (*n, v.as_bytes())), None, &[])
}

fn login(credentials: &Credentials) -> (String, String) {
    match credentials.presented() {
        [Credential::Login { name, passcode, .. }] => (name.clone(), passcode.expose().clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn basic_splits_at_the_first_colon() {
    let value = format!("Basic {}", STANDARD.encode("alice@example.com:p:w ü"));
    let found = read(&[("Authorization", &value)]).unwrap();
    assert_eq!(login(&found), ("alice@example.com".into(), "p:w ü".into()));
    let debug = format!("{found:?}");
    assert!(!debug.contains("alice") && !debug.contains("p:w"), "{debug}");
}

#[test]
fn client_headers_and_scope() {
    let found = read(&[
        ("clientId", "alice@example.com"),
        ("clientSecret", "pw"),
        ("organizationId", "acme"),
        ("applicationId", "orders"),
        ("X-Trace", "7"),
    ])
    .unwrap();
    assert_eq!(login(&found).1, "pw");
    assert_eq!(*found.requested_scope(), RequestedScope::Exactly(Scope::application("acme", "orders").unwrap()));
    assert_eq!(found.facts().headers, [("x-trace".to_owned(), "7".to_owned())]);
}

#[test]
fn legacy_scope_headers() {
    let found = read(&[("login", "a"), ("passcode", "b"), ("authScopeType", "APPLICATION"), ("authScopeId", "orders")]);
    let found = found.unwrap();
    assert_eq!(*found.requested_scope(), RequestedScope::Application(Slug::new("orders").unwrap()));
    assert!(found.requested_scope().admits(&Scope::application("acme", "orders").unwrap()));
    assert!(!found.requested_scope().admits(&Scope::application("acme", "other").unwrap()));
}

#[test]
fn what_is_refused() {
    let long = "x".repeat(MAX_CREDENTIAL + 1);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("authorization", "Bearer a"), ("Authorization", "Bearer a")], "header `authorization` is repeated"),
        (&[("authorization", &long)], "header `authorization` is too long"),
        (&[("authorization", "Bearer a b")], "header `authorization` is not a bearer token"),
        (&[("authorization", "Bearer ")], "header `authorization` is not a bearer token"),
        (&[("authorization", "Token abc")], "header `authorization` has a scheme that nobody here knows"),
        (&[("authorization", "abc")], "header `authorization` has no scheme and value"),
        (&[("authorization", "Basic !!")], "header `authorization` is not base64"),
        (&[("authorization", "Basic YWJj")], "header `authorization` has no `:`"),
        (&[("clientid", "a")], "header `clientid` stands without its secret"),
        (&[("passcode", "a")], "header `passcode` stands without a name"),
        (&[("applicationid", "orders")], "header `applicationid` stands without `organizationid`"),
        (&[("organizationid", "Not A Slug")], "header `organizationid` is not an id"),
        (&[("organizationid", "a"), ("organizationid", "a")], "header `organizationid` is repeated"),
        (&[("authscopetype", "PLANET"), ("authscopeid", "a")], "header `authscopetype` is no kind of scope"),
        (
            &[("organizationid", "acme"), ("authscopetype", "ORGANIZATION"), ("authscopeid", "globex")],
            "header `authscopeid` disagrees with the other scope headers",
        ),
    ];
    for (pairs, message) in cases {
        assert_eq!(read(pairs).unwrap_err().to_string(), *message, "{}", pairs.first().unwrap().0);
    }
    let bytes: &[u8] = &[0xff, 0xfe];
    let error = Credentials::from_pairs([("clientsecret", bytes)], None, &[]).unwrap_err();
    assert_eq!(error, CredentialError::NotText("clientsecret".into()));
    let many = (0..=MAX_HEADERS).map(|_| ("x", b"y".as_slice()));
    assert_eq!(Credentials::from_pairs(many, None, &[]).unwrap_err(), CredentialError::TooMany);
}

#[test]
fn facts_never_hold_a_credential() {
    let pairs: Vec<(&str, &str)> = SECRET_HEADERS.iter().map(|n| (*n, "secret-value")).collect();
    let pairs: Vec<_> = pairs.into_iter().filter(|(n, _)| *n != "authorization" && *n != "api-key").collect();
    let found = read(&pairs).unwrap();
    assert!(found.facts().headers.is_empty());
    assert!(!format!("{found:?}").contains("secret-value"));
    let own = Credentials::from_pairs([("x-own", b"v".as_slice())], None, &["x-own"]).unwrap();
    assert!(matches!(own.presented(), [Credential::Custom { .. }]));
    assert_eq!(own.at("GET", "/a?token=1").facts().path, "/a");
}

#[test]
fn the_default_scope_is_never_system() {
    let listener = Listener { default_scope: Some(Scope::System), system: false };
    let found = Credentials::default().on(listener);
    assert_eq!(found.effective_scope(), RequestedScope::Unnamed);
}

proptest! {
    #[test]
    fn reading_never_panics(pairs in prop::collection::vec(("authorization|clientid|clientsecret|login|passcode|organizationid|applicationid|authscopetype|authscopeid|x-api-key|cookie|[a-z]{0,6}", prop::collection::vec(any::<u8>(), 0..60)), 0..8)) {
        let _ = Credentials::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_slice())), None, &["x"]);
    }

    #[test]
    fn authorization_never_panics(value in "(Basic|Bearer|bearer|) ?[ -~]{0,80}") {
        let _ = authorization(&value);
    }
}
