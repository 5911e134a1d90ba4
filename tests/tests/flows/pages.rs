//! The pages: plain, without a script, and back to where somebody came from alone.

use super::*;

fn page(name: &str, more: &str) -> String {
    format!("/auth/{name}?{}", authorize("app", more).split_once('?').unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_registers_on_pages_and_comes_back_to_the_client() {
    let stand = Stand::new().await;
    let login = stand.get("", &authorize("app", "")).await;
    assert!(login.body.contains("/auth/register?") && login.body.contains("/auth/forgot?"), "{}", login.body);
    let asked = stand.get("", &page("register", "")).await;
    for shown in [&login, &asked] {
        let head = shown.head.to_lowercase();
        for header in ["frame-ancestors 'none'", "cache-control: no-store", "x-content-type-options: nosniff"] {
            assert!(head.contains(header), "{header} in {head}");
        }
        assert!(!shown.body.contains("<script") && shown.body.contains("<label for=\"email\">"), "{}", shown.body);
    }
    let told = stand.form("", &page("register", ""), &[("email", "ann@example.com"), ("name", "<b>Ann</b>")]).await;
    assert!(told.status == 200 && told.body.contains("one is on its way"), "{}", told.body);
    let at = format!("/auth/register/complete?token={}", stand.token(0).await);
    assert_eq!(stand.get("", &at).await.status, 200);
    assert_eq!(stand.get("", &at).await.status, 200, "to look at a link is not to use it");
    let weak = stand.form("", &at, &[("password", "short")]).await;
    assert!(weak.status == 422 && weak.body.contains("role=\"alert\""), "{}", weak.body);
    let told = stand.form("", &at, &[("password", PASSWORD)]).await;
    assert_eq!(told.status, 303, "{}", told.body);
    let to = told.head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    assert!(to.starts_with("/api/auth/oauth/authorize?client_id=app"), "{to}");
    let back = stand.get(&told.cookies(), &to).await;
    assert!(back.head.contains(&format!("location: {CALLBACK}?code=")), "{}", back.head);
    assert_eq!(stand.get("", &at).await.status, 400, "the link is used");
}

/// Addresses that some reader of addresses takes for [`CALLBACK`], or for a page of this server.
const LOOKALIKES: [&str; 18] = [
    "https://evil.example/callback",
    "//evil.example/callback",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:\\\\evil.example/callback",
    "https:evil.example",
    "https://shop.example@evil.example/callback",
    "https://shop.example%40evil.example/callback",
    "https://shop.example%2f@evil.example/callback",
    "https://shop.example\\@evil.example/callback",
    "https://shop.example.evil.example/callback",
    "https://evilshop.example/callback",
    "https%3A%2F%2Fshop.example%2Fcallback",
    "https://shop.example/callback%2f..%2fevil",
    "https://shop.example/callback\n.evil.example",
    "javascript://shop.example/callback",
    "/",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_elsewhere() {
    let stand = Stand::of("sqlite::memory:", "[server]\nrate_limits = false\n").await;
    stand.user("shop", "ann@example.com").await;
    let ann = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    let fields = [("email", "ann@example.com"), ("password", PASSWORD)];
    for evil in LOOKALIKES {
        let instead = |path: &str| path.replace(&encoded(CALLBACK), &encoded(evil));
        let leave = format!("/api/auth/oauth/end_session?client_id=app&post_logout_redirect_uri={}", encoded(evil));
        for told in [
            stand.get(&ann, &instead(&authorize("app", ""))).await,
            stand.get(&ann, &instead(&authorize("app", "&prompt=none"))).await,
            stand.form("", &instead(&authorize("app", "")), &fields).await,
            stand.form("", &instead(&page("register", "")), &fields).await,
            stand.form("", &instead(&page("forgot", "")), &fields).await,
            stand.get(&ann, &leave).await,
        ] {
            assert!(told.status == 400 && !told.head.to_lowercase().contains("location:"), "{evil}: {}", told.head);
        }
    }
    assert!(stand.is_signed_in(&ann).await);
    let told = stand.form("", "/auth/forgot?client_id=nobody", &[("email", "ann@example.com")]).await;
    assert_eq!(told.status, 400);
    let told = stand.get("", &page("register", "&state=%22%3E%3Cscript%3E")).await;
    assert!(!told.body.contains("<script"), "{}", told.body);
    assert!(stand.sink.letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_forgotten_on_pages() {
    let stand = Stand::new().await;
    stand.user("shop", "ann@example.com").await;
    let answers = [
        stand.form("", &page("forgot", ""), &[("email", "ann@example.com")]).await,
        stand.form("", &page("forgot", ""), &[("email", "eve@example.com")]).await,
    ];
    assert_eq!((answers[0].status, &answers[0].body), (200, &answers[1].body));
    let at = format!("/auth/reset?token={}", stand.token(0).await);
    let told = stand.form("", &at, &[("password", OTHER)]).await;
    assert!(told.status == 200 && told.cookies().is_empty(), "{}", told.body);
    // A sign-in that a change of the user overtakes is refused, and this one is told of within a quarter of a second.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let login = stand.login("shop", "ann@example.com", OTHER).await;
    assert_eq!(login.status, 204, "{} {}", login.body, told.body);
}

async fn counts_elsewhere(database: &str) {
    let stand = Stand::of(database, "").await;
    for application in ["shop", "desk", "vault"] {
        stand.user(application, "ann@example.com").await;
    }
    stand.user("shop", "bob@example.com").await;
    let ann = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
    assert!(stand.get(&ann, &authorize("desk", "")).await.head.contains("code="), "the desk is listed with the shop");
    assert!(!stand.get(&ann, &authorize("vault", "")).await.head.contains("code="), "the vault is not");
    let bob = stand.login("shop", "bob@example.com", PASSWORD).await.cookies();
    assert!(!stand.get(&bob, &authorize("desk", "")).await.head.contains("code="), "Bob is nobody at the desk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_counts_elsewhere_only_where_the_organization_lists_it_in_sqlite() {
    let database = Sqlite::new("shared");
    counts_elsewhere(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_counts_elsewhere_only_where_the_organization_lists_it_in_postgres() {
    counts_elsewhere(&tests::postgres::fresh_database().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_counts_nowhere_where_its_method_is_off() {
    for (methods, counts) in [(r#"["password", "token"]"#, true), (r#"["token"]"#, false)] {
        let desk = format!("[[scope]]\nscope = \"app:acme/desk\"\nmethods = {methods}\n");
        let stand = Stand::of("sqlite::memory:", &desk).await;
        for application in ["shop", "desk"] {
            stand.user(application, "ann@example.com").await;
        }
        assert_eq!(stand.login("desk", "ann@example.com", PASSWORD).await.status == 204, counts, "{methods}");
        let ann = stand.login("shop", "ann@example.com", PASSWORD).await.cookies();
        assert!(stand.get(&ann, &authorize("app", "")).await.head.contains("code="));
        let at_desk = stand.get(&ann, &authorize("desk", "")).await;
        assert_eq!(at_desk.head.contains("code="), counts, "{methods}: {}", at_desk.head);
    }
}
