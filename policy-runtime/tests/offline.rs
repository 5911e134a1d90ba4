//! Folders of policies, from what a program declares to what its administrators read.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use policy_core::registry::Registry;
use policy_runtime::offline::{self, Folder, Report, Status};
use policy_runtime::value::Millis;
use policy_runtime::{Attributes, Denied, SecurityContext, abac_policy, publish};

#[derive(Attributes, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    amount: i64,
    owner_id: Option<String>,
    #[attributes(secret)]
    pin: Option<i64>,
}

struct OrderService;

#[publish("com.example")]
impl OrderService {
    #[abac_policy(participant.roles contains "finance" and order.amount < 50_000)]
    async fn place_order(&self, order: Order) -> Result<i64, Denied> {
        Ok(order.amount)
    }

    #[abac_policy(participant.department == "sales")]
    async fn list_orders(&self) -> Result<i64, Denied> {
        Ok(0)
    }
}

/// A folder of its own, which goes away with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("policy-offline-{name}-{}", std::process::id()));
        let place = Self(root);
        place.write("manifest.json", &Registry::program().unwrap().manifest().to_string());
        for (path, text) in files {
            place.write(path, text);
        }
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn folder(&self) -> Folder {
        Folder::read(&self.0, None).unwrap()
    }

    /// With the folder called `policies`, wherever it is, and whatever line of this file declares it.
    fn check(&self, report: &Report, status: Status, expect: &Expect) {
        assert_eq!(report.status, status, "{report}");
        let text = report.to_string().replace(&self.0.display().to_string(), "policies");
        let text: Vec<&str> = text.lines().map(str::trim_end).collect();
        let shown: Vec<String> = text.iter().map(|line| without_lines(line)).collect();
        expect.assert_eq(&(shown.join("\n") + "\n"));
        assert_eq!(report.json["next"].as_str(), report.next.as_deref());
    }
}

/// `tests/offline.rs:27` without its line.
fn without_lines(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("offline.rs:") {
        out.push_str(before);
        out.push_str("offline.rs");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const MFA: (&str, &str) = (
    "org/acme/mfa-for-orders.rule",
    "# since the audit\nforbid com.example.OrderService.placeOrder unless participant.mfa\n",
);

#[tokio::test]
async fn the_service_is_the_one_that_the_manifest_is_about() {
    let alice = SecurityContext::test().id("alice").role("finance");
    let order = || Order { amount: 72_000, owner_id: None, pin: None };
    assert!(alice.scope(async { OrderService.place_order(order()).await }).await.is_err());
    assert!(alice.scope(async { OrderService.list_orders().await }).await.is_err());
}

#[test]
fn schema() {
    let place = Place::new("schema", &[]);
    let report = offline::vocabulary(place.folder().registry(), Some("com.example"));
    place.check(
        &report,
        Status::Good,
        &expect![[r#"
        com.example.OrderService.listOrders  (policy-runtime/tests/offline.rs)
          callers application; resource com::example::OrderService; groups OrderService
          rule participant.department == 'sales'
          participant.id               Text
          participant.email            Text, may be absent
          participant.displayName      Text, may be absent
          participant.roles            Set of Text
          participant.tier             Enum(system | organization | application)
          participant.organization     Text, may be absent
          participant.application      Text, may be absent
          participant.tenant           Text, may be absent
          participant.authType         Text
          participant.mfa              Bool
          participant.subject          Text, may be absent
          participant.department       Text, may be absent
          context.time                 Datetime
          context.ip                   Ip, may be absent
          context.mfa                  Bool
          context.connection           Text, may be absent
          context.requestId            Text, may be absent
          context.quota                Long, may be absent

        com.example.OrderService.placeOrder  (policy-runtime/tests/offline.rs)
          callers application; resource com::example::OrderService; groups OrderService
          rule participant.roles contains 'finance' and order.amount < 50000
          participant and context as above
          order.amount                 Long
          order.ownerId                Text, may be absent
          order.pin                    Long, may be absent, secret

        2 actions
        next: policy check
    "#]],
    );
    assert_eq!(report.json["actions"][1]["action"], "com.example.OrderService.placeOrder");
}

#[test]
fn check_shows_every_mistake_at_its_place() {
    let place = Place::new(
        "check",
        &[
            (
                "org/acme/mfa.rule",
                "# two lines\n# of why\nforbid com.example.OrderService.placeOrder\n  unless participant.mffa\n",
            ),
            ("org/acme/never.rule", "forbid com.example.OrderService.placeOrder when order.amount in []"),
            ("org/acme/target.rule", "forbid com.example.OrderService.placeOrdre unless participant.mfa"),
            ("app/acme/orders/open.rule", "permit com.example.OrderService.placeOrder"),
            (
                "sys/rules.cedar",
                "// tenants\n@id(\"tenant\")\nforbid (principal, action, resource)\nwhen { principal has tenant && principal.tenant != \"a\" };\n",
            ),
            ("org/globex/broken.cedar", "forbid (principal, action, resource) when { principal.mfaa };\n"),
            ("org/globex/README.md", "passed over"),
        ],
    );
    place.check(&offline::check(&place.folder(), &[]), Status::Findings, &expect![[r#"
        warning[forbid-lets-absence-through]: policies/sys/rules.cedar:2:1: `tenant` does not forbid where `principal.tenant` is absent
          |
        2 | @id("tenant")
          | ^^^^^^^^^^^^^
        help: if absence should forbid too, write `!((principal has tenant) && (!(principal.tenant != "a")))`

        error[constant]: policies/org/acme/never.rule:1:49: this rule never holds, whatever the data
          |
        1 | forbid com.example.OrderService.placeOrder when order.amount in []
          |                                                 ^^^^^^^^^^^^^^^^^^
        help: drop the rule, or say what it should ask

        error[unknown-target]: policies/org/acme/target.rule:1:8: there is no action, service or group `com.example.OrderService.placeOrdre`
          |
        1 | forbid com.example.OrderService.placeOrdre unless participant.mfa
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: did you mean `com.example.OrderService.placeOrder`?

        error[cedar]: policies/org/globex/broken.cedar:1:45: for policy `policies/org/globex/broken#1`, attribute `mfaa` on entity type `Platform::Participant` not found
          |
        1 | forbid (principal, action, resource) when { principal.mfaa };
          |                                             ^^^^^^^^^^^^^^
        help: did you mean `mfa`?

        error: policies/app/acme/orders/open.rule:1:1: an application's admin can only forbid: nothing at run time opens what the code closed
        help: the door is the annotation of `com.example.OrderService.placeOrder` at policy-runtime/tests/offline.rs

        4 errors and 1 warning in 6 files
        next: policy schema
    "#]]);
    let only = [place.0.join("sys/rules.cedar")];
    assert_eq!(offline::check(&place.folder(), &only).status, Status::Good, "a warning refuses nothing");
}

#[test]
fn a_folder_is_read_strictly() {
    let refused = |files: &[(&str, &str)], name: &str| {
        let place = Place::new(name, files);
        let error = Folder::read(&place.0, None).unwrap_err().to_string();
        error.replace(&place.0.display().to_string(), "policies")
    };
    let said = [
        refused(&[("org/acme/mfa.txt", "")], "ending"),
        refused(&[("mfa.rule", "forbid a.b")], "top"),
        refused(&[("org/ACME/mfa.rule", "forbid a.b")], "name"),
        refused(&[("org/mfa.rule", "forbid a.b")], "missing"),
        refused(&[("manifest.json", "{ \"manifest\": 1,\n \"actions\": 7 }")], "manifest"),
    ];
    expect![[r#"
        `policies/org/acme/mfa.txt` is no policy file
        help: a policy file ends in `.cedar` or `.rule`, notes in `.md`
        `policies/mfa.rule` is in no scope's folder
        help: policies are in `sys`, `org/<organization>` or `app/<organization>/<application>`
        `policies/org/ACME` is no scope's folder
        help: a folder here has the id of an organization or an application: small letters, digits and `-`
        `policies/org/mfa.rule` is no scope's folder
        help: a folder here has the id of an organization or an application: small letters, digits and `-`
        `policies/manifest.json`: invalid type: integer `7`, expected a sequence at line 2, column 13"#]]
    .assert_eq(&said.join("\n"));
    #[cfg(unix)]
    {
        let place = Place::new("link", &[MFA]);
        std::os::unix::fs::symlink("/etc/passwd", place.0.join("org/acme/other.rule")).unwrap();
        assert!(Folder::read(&place.0, None).unwrap_err().to_string().contains("links are not followed"));
    }
}

#[test]
fn fmt_keeps_comments_and_says_what_it_would_change() {
    let cedar = "// why\npermit(principal in Platform::Role::\"org:acme/a\",action,resource);";
    let place = Place::new(
        "fmt",
        &[
            ("org/acme/a.cedar", cedar),
            ("org/acme/b.rule", "# b\nFORBID  com.example.OrderService.*  UNLESS participant.mfa"),
        ],
    );
    place.check(
        &offline::format(&place.folder(), &[], true).unwrap(),
        Status::Findings,
        &expect![[r#"
        not formatted: policies/org/acme/a.cedar
        not formatted: policies/org/acme/b.rule
        2 files are not formatted
        next: policy fmt
    "#]],
    );
    offline::format(&place.folder(), &[], false).unwrap();
    let read = |path: &str| std::fs::read_to_string(place.0.join(path)).unwrap();
    expect![[r#"
        // why
        permit (
          principal in Platform::Role::"org:acme/a",
          action,
          resource
        );
        # b
        forbid com.example.OrderService.* unless participant.mfa
    "#]]
    .assert_eq(&format!("{}{}", read("org/acme/a.cedar"), read("org/acme/b.rule")));
    assert_eq!(offline::format(&place.folder(), &[], true).unwrap().status, Status::Good);
    place.write("org/acme/b.rule", "forbid when");
    assert_eq!(offline::format(&place.folder(), &[], false).unwrap().status, Status::Findings);
    assert_eq!(read("org/acme/b.rule"), "forbid when", "what cannot be parsed stays");
}

const ASKED: &str = r#"{ "participant": { "id": "ann", "roles": ["finance"] }, "scope": "app:acme/orders",
    "action": "com.example.OrderService.placeOrder", "arguments": { "order": { "amount": 72000, "pin": 4711 } } }"#;

fn explain(place: &Place, asked: &str) -> Report {
    offline::explain(&place.folder(), asked, Millis(0)).unwrap()
}

#[test]
fn explain_says_why_and_the_nearest_change() {
    let place = Place::new("explain", &[MFA]);
    let report = explain(&place, ASKED);
    place.check(
        &report,
        Status::Findings,
        &expect![[r#"
            DENY com.example.OrderService.placeOrder on app:acme/orders
              organization: mfa-for-orders: participant.mfa is false
            system: yes
              `system.lower-tiers` permits
            organization: NO
              `mfa-for-orders` forbids: `participant.mfa`, participant.mfa is false
              `organization.applications` permits
            application: NO
              `com.example.OrderService.placeOrder` does not permit: `order.amount < 50000`, order.amount is 72000
            nearest change that opens it:
              participant.mfa (it is false), for `mfa-for-orders`
              order.amount < 50000 (it is 72000), for `com.example.OrderService.placeOrder`
              tried with participant.mfa = true, order.amount = 49999: allowed
            next: policy schema
        "#]],
    );
    assert!(!report.json.to_string().contains("4711"));
    let allowed = ASKED.replace("72000", "100").replace(r#""roles""#, r#""mfa": true, "roles""#);
    place.check(
        &explain(&place, &allowed),
        Status::Good,
        &expect![[r#"
            ALLOW com.example.OrderService.placeOrder on app:acme/orders
            system: yes
              `system.lower-tiers` permits
            organization: yes
              `mfa-for-orders` does not forbid
              `organization.applications` permits
            application: yes
              `com.example.OrderService.placeOrder` permits
            next: policy test
        "#]],
    );
    place.write("org/acme/closed.rule", "forbid com.example.OrderService.*");
    assert_eq!(
        explain(&place, &allowed).json["nearest"]["none"],
        "no change of the request can: forbidden by `closed`"
    );
}

#[test]
fn secrets_are_redacted() {
    let place = Place::new(
        "secret",
        &[("org/acme/pin.rule", "forbid com.example.OrderService.placeOrder when order.pin == 4711")],
    );
    let report = explain(&place, &ASKED.replace("72000", "1"));
    assert!(report.text.contains("not order.pin == 4711 (it is (secret))"), "the rule's own text, {report}");
    assert!(report.text.contains("tried with order.pin = (secret)") && !report.text.contains("is 4711"), "{report}");
}

#[test]
fn what_is_asked_is_checked_too() {
    let place = Place::new("asked", &[]);
    let refused = |from: &str, to: &str| {
        let asked = ASKED.replace(from, to);
        assert_ne!(asked, ASKED);
        offline::explain(&place.folder(), &asked, Millis(0)).unwrap_err().to_string()
    };
    let said = [
        refused("\"amount\"", "\"amuont\""),
        refused("72000", "\"many\""),
        refused("placeOrder", "placeOrdr"),
        refused("app:acme/orders", "acme"),
        refused("\"roles\"", "\"rolse\""),
        refused("\"arguments\"", "\"arguments\": {}, \"arguments\""),
        refused("{ \"participant\"", "{ \"participant\": ["),
    ];
    expect![[r#"
        arguments.order has no `amuont`
        help: did you mean `amount`?
        `arguments.order.amount` is not a Long
        there is no action `com.example.OrderService.placeOrdr`
        help: did you mean `com.example.OrderService.placeOrder`?
        `acme` is not a scope: `sys`, `org:<organization>` or `app:<organization>/<application>`
        participant has no `rolse`
        help: did you mean `roles`?
        2:71: duplicate mapping key: arguments, set DuplicateKeyPolicy in Options if acceptable
        1:18: mismatched bracket '[' closed by '}'"#]]
    .assert_eq(&said.join("\n"));
    let line = |n: u8| format!("b{n}: &b{n} [*b{0}, *b{0}, *b{0}]", n - 1);
    let bomb = ["b0: &b0 [x, x]".to_owned()].into_iter().chain((1..40).map(line)).collect::<Vec<_>>().join("\n");
    assert!(offline::explain(&place.folder(), &bomb, Millis(0)).is_err(), "aliases are counted");
    assert!(offline::explain(&place.folder(), &"[".repeat(100_000), Millis(0)).is_err(), "depth is bounded");
}

#[test]
fn who_may_and_what_may_somebody() {
    let place = Place::new("who", &[MFA]);
    let list =
        "participants:\n  ann: { roles: [finance], mfa: true }\n  bob: { roles: [finance] }\n  eve: { mfa: true }\n";
    let asked = ASKED.replace("72000", "100");
    place.check(
        &offline::who(&place.folder(), &asked, list, Millis(0)).unwrap(),
        Status::Good,
        &expect![[r#"
            yes      ann
            no       bob  (mfa-for-orders: participant.mfa is false)
            no       eve  (`participant.roles contains 'finance'` was false: participant.roles is [])
            1 of 3 participants may
            next: policy explain
        "#]],
    );
    let open = "{ scope: app:acme/orders, action: com.example.OrderService.placeOrder }";
    place.check(
        &offline::who(&place.folder(), open, list, Millis(0)).unwrap(),
        Status::Good,
        &expect![[r#"
            depends  ann
            no       bob  (whatever the arguments are)
            no       eve  (whatever the arguments are)
            0 of 3 participants may
            next: policy explain
        "#]],
    );
    place.check(
        &offline::may(&place.folder(), ASKED, Millis(0)).unwrap(),
        Status::Good,
        &expect![[r#"
        `ann` may do 0 of 9 actions on app:acme/orders
        next: policy explain --action ACTION
    "#]],
    );
}

const SUITE: &str = "\
scope: app:acme/orders
participants:
  ann: { roles: [finance], mfa: true }
  bob: { roles: [finance] }
tests:
  - name: finance places small orders
    participant: ann
    action: com.example.OrderService.placeOrder
    arguments: { order: { amount: 100 } }
    expect: allow
    rule: com.example.OrderService.placeOrder
  - name: not large ones
    participant: ann
    action: com.example.OrderService.placeOrder
    arguments: { order: { amount: 72000 } }
    expect: deny
    clause: order.amount < 50000
  - name: not without a second factor
    participant: bob
    action: com.example.OrderService.placeOrder
    arguments: { order: { amount: 100 } }
    expect: deny
    rule: mfa-for-orders
";

fn tested(place: &Place) -> Report {
    offline::test(&place.folder(), &[]).unwrap()
}

#[test]
fn tests_pass_or_say_what_was_decided_and_by_whom() {
    let place = Place::new("test", &[MFA, ("tests/orders.yaml", SUITE)]);
    place.check(&tested(&place), Status::Good, &expect![[r#"
        not covered: no test satisfies `com.example.OrderService.listOrders` (app:acme/orders)
        not covered: `participant.department == 'sales'` of `com.example.OrderService.listOrders` (app:acme/orders) is never asked
        not covered: `participant.roles contains 'finance'` of `com.example.OrderService.placeOrder` (app:acme/orders) is only true
        3 tests, 0 failed; covered: 2 of 3 rules, 2 of 4 clauses
        next: policy diff BEFORE policies
    "#]]);
    place.write(
        "tests/orders.yaml",
        &SUITE
            .replace("amount: 100 } }\n    expect: allow", "amount: 50000 } }\n    expect: allow")
            .replace("rule: mfa-for-orders", "rule: mfa"),
    );
    place.check(&tested(&place), Status::Findings, &expect![[r#"
        FAIL policies/tests/orders.yaml:6: finance places small orders
          it is denied: `order.amount < 50000` was false: order.amount is 50000
        FAIL policies/tests/orders.yaml:18: not without a second factor
          decided by `mfa-for-orders`, not by `mfa`
        not covered: no test satisfies `com.example.OrderService.listOrders` (app:acme/orders)
        not covered: `participant.department == 'sales'` of `com.example.OrderService.listOrders` (app:acme/orders) is never asked
        not covered: `participant.roles contains 'finance'` of `com.example.OrderService.placeOrder` (app:acme/orders) is only true
        3 tests, 2 failed; covered: 2 of 3 rules, 2 of 4 clauses
        next: policy explain
    "#]]);
}

#[test]
fn mistakes_in_tests_are_told_at_their_place() {
    let place = Place::new("suite", &[MFA]);
    let refused = |from: &str, to: &str| {
        place.write("tests/orders.yaml", &SUITE.replacen(from, to, 1));
        let error = offline::test(&place.folder(), &[]).unwrap_err().to_string();
        error.replace(&place.0.display().to_string(), "policies")
    };
    let said = [
        refused("participant: bob", "participant: bbo"),
        refused("expect: deny", "expect: refuse"),
        refused("expect: deny", "expcet: deny"),
        refused("{ amount: 72000 }", "{ amount: lots }"),
        refused("tests:", "tests"),
        refused("mfa: true", "mfa: 1"),
    ];
    expect![[r#"
        policies/tests/orders.yaml:18:5: there is no participant `bbo` in this file
        help: did you mean `bob`?
        policies/tests/orders.yaml:16:13: unknown variant `refuse`, expected one of allow, deny
        policies/tests/orders.yaml:16:5: unknown field `expcet`, expected one of name, participant, action, scope, resource, context, arguments, expect, rule, clause
        policies/tests/orders.yaml:12:5: `arguments.order.amount` is not a Long
        policies/tests/orders.yaml:5:1: simple key expected ':'
        policies/tests/orders.yaml:6:5: `participant.mfa` is not a Bool"#]].assert_eq(&said.join("\n"));
}

#[test]
fn diff_tells_clauses_and_flips_by_rule_and_caller() {
    let limit = "forbid com.example.OrderService.placeOrder when order.amount > 5000 and not participant.mfa";
    let cedar = "@id(\"night\") forbid (principal, action, resource) when { principal.mfa };";
    let before = Place::new("before", &[MFA, ("org/acme/limit.rule", limit)]);
    let now = limit.replace("5000", "1000");
    let after = Place::new("after", &[("org/acme/limit.rule", &now), ("sys/night.cedar", cedar)]);
    let folder = after.folder();
    let told = |requests: Option<&str>| {
        offline::diff(&folder.beside(&before.0).unwrap(), &folder, requests, Millis(0)).unwrap()
    };
    after.check(
        &told(None),
        Status::Findings,
        &expect![[r#"
        sys
          added `night`: @id("night") forbid (principal, action, resource) when { principal.mfa };
        org:acme
          changed `limit`
            no longer: when .. and order.amount > 5000
            now: when .. and order.amount > 1000
          removed `mfa-for-orders`: forbid com.example.OrderService.placeOrder unless participant.mfa
        next: policy diff --requests FILE
    "#]],
    );
    let asked = |id: &str, amount: &str, mfa: bool| {
        let asked =
            ASKED.replace('\n', " ").replace("72000", amount).replace("\"ann\"", &format!("\"{id}\", \"mfa\": {mfa}"));
        asked + "\n"
    };
    let requests =
        [asked("ann", "2000", false), asked("ann", "10", true), asked("bob", "20", true), asked("bob", "10", false)]
            .concat();
    after.check(
        &told(Some(&requests)),
        Status::Findings,
        &expect![[r#"
        sys
          added `night`: @id("night") forbid (principal, action, resource) when { principal.mfa };
        org:acme
          changed `limit`
            no longer: when .. and order.amount > 5000
            now: when .. and order.amount > 1000
          removed `mfa-for-orders`: forbid com.example.OrderService.placeOrder unless participant.mfa
        allow becomes deny, by `night`
          `ann`: 1 request (line 2)
          `bob`: 1 request (line 3)
        deny becomes allow, by `mfa-for-orders`
          `bob`: 1 request (line 4)
        3 of 4 requests decided otherwise
        next: policy test
    "#]],
    );
    let same = offline::diff(&folder, &folder, Some(&requests), Millis(0)).unwrap();
    assert_eq!((same.status, &same.json["requests"]["asked"]), (Status::Good, &serde_json::json!(4)));
    let wrong = offline::diff(&folder, &folder, Some("\n{ }"), Millis(0)).unwrap_err().to_string();
    assert_eq!(wrong, "2:1: `action` is missing");
}

#[test]
fn files_stay_where_they_belong() {
    let place = Place::new("one", &[MFA, ("tests/orders.yaml", SUITE), ("tests/notes.md", "passed over")]);
    let only: &Path = &place.0.join("tests/orders.yaml");
    assert_eq!(offline::test(&place.folder(), &[only.to_owned()]).unwrap().json["tests"], 3);
    assert_eq!(place.folder().files().len(), 1);
}
