//! The README's way from nothing to a first live rule, command by command against a real server; and what the command refuses.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod elsewhere;
mod stand;

use stand::{Stand, masked, post, says, signed_in, signed_in_by};

#[test]
fn the_way_of_the_readme() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let section = readme.split("## From nothing to a first live rule").nth(1).unwrap();
    let stand = Stand::start("readme");
    for block in section.split("\n## ").next().unwrap().split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let lines = block.lines().filter(|line| line.starts_with("$ policy ") && !line.starts_with("$ policy serve"));
        let said = lines.map(|line| {
            let (said, _) = stand.run(line.strip_prefix("$ ").unwrap());
            [line, "\n", &masked(&said)].concat()
        });
        let told: String = said.collect();
        if !block.contains("$ policy serve") {
            assert_eq!(told, block, "\n--- told:\n{told}");
        }
    }
}

#[test]
fn what_it_refuses_and_how_it_ends() {
    let stand = Stand::start("refusals");
    let (said, code) = stand.run("policy whoami");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nobody is signed in") && said.contains("next: policy login"), "{said}");
    let (said, code) = stand.run("policy login --email root@example.com --bootstrap bootstrap_wrong --password-file -");
    assert_eq!(code, 1, "{said}");
    let (_, code) = stand.run("policy login --email root@example.com --bootstrap TOKEN --password-file -");
    assert_eq!(code, 0);
    let profile = stand.folder.join("home/policy/default.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&profile).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!std::fs::read_to_string(profile).unwrap().contains("pass phrase"));
    let (said, code) = stand.run("policy user list --org nowhere --json");
    assert_eq!(code, 1);
    let problem: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(problem.get("status"), Some(&404.into()));
    let (said, code) =
        stand.run("policy login --url http://policy.example.com --email root@example.com --password-file -");
    assert!(code == 2 && said.contains("neither https nor on this machine"), "{said}");
    let (said, code) = stand.run("policy login --email root@example.com --profile ../evil --password-file -");
    assert!(code == 2 && said.contains("no name of a profile"), "{said}");
    let (said, code) = stand.run("policy recover --database sqlite:policy.db --org nowhere");
    assert!(code == 2 && said.contains("there is no `org:nowhere`"), "{said}");
    let (_, code) = stand.run("policy logout");
    assert_eq!(code, 0);
    assert_eq!(stand.run("policy whoami").1, 2);
}

/// What a command says, line by line; whoever changes a word sees it here.
#[track_caller]
#[test]
fn a_rule_is_made_of_a_template_tried_and_taken_back_without_a_server() {
    let stand = signed_in("tried");
    let new = "policy policies new mfa --org acme --template mfa --target Platform.keys.create";
    let (said, code) = stand.run(new);
    assert!(code == 0 && said.starts_with("version 1 of org:acme is what is shipped with the rule `mfa`"), "{said}");
    says(
        &stand,
        "policy policies diff 1 --org acme",
        0,
        &expect_test::expect![[r"
        org:acme
          added `mfa`: forbid Platform.keys.create unless participant.mfa == true
        next: policy policies try 1 --org acme
    "]],
    );
    says(
        &stand,
        "policy policies try 1 --org acme --action Platform.keys.create",
        0,
        &expect_test::expect![[r"
        0 of 0 recorded decisions were made again under version 1
        it turns none of them
        next: policy policies shadow 1 --org acme
    "]],
    );
    says(
        &stand,
        "policy policies shadow 1 --org acme",
        0,
        &expect_test::expect![[r"
        version 1 of org:acme is asked about each decision from now on, and only counted
        next: policy policies shadow --org acme
    "]],
    );
    assert_eq!(stand.run("policy key create builds --org acme --role developer").1, 0, "a shadow decides nothing");
    let (said, _) = stand.run("policy policies shadow --org acme");
    assert!(said.contains("allow becomes deny  `mfa`  Platform.keys.create  org:acme/u_"), "{said}");
    assert_eq!(stand.run("policy policies activate 1 --org acme").1, 0);
    let (said, code) = stand.run("policy key create more --org acme --role developer");
    assert_eq!(code, 1);
    let id = said.split(['(', ')']).find(|part| part.starts_with("d-")).unwrap().to_owned();
    let (said, code) = stand.run(&format!("policy policies explain {id} --org acme"));
    assert!(code == 0 && said.contains("DENY Platform.keys.create by org:acme/u_"), "{said}");
    assert!(
        said.contains("tier: organization") && said.contains("rule: mfa") && said.contains("participant.mfa is false"),
        "{said}"
    );
    let (said, code) = stand.run("policy policies who Platform.keys.create --org acme");
    assert!(code == 0 && said.contains("ann@acme.example"), "{said}");
    says(
        &stand,
        "policy policies new x --org acme --template rol --target Platform.keys.create",
        2,
        &expect_test::expect![[r"
        error: there is no template `rol`: did you mean `role`?
        next: policy policies templates
    "]],
    );
    says(
        &stand,
        "policy policies new x --org acme --template role --target Platform.keys.create",
        2,
        &expect_test::expect![[r"
        error: `role` needs `role`, such as `finance`
        next: policy policies templates
    "]],
    );
    let (said, code) = stand.run("policy policies templates --json");
    assert!(code == 0 && serde_json::from_str::<serde_json::Value>(&said).unwrap().as_array().unwrap().len() > 9);

    // Two versions, and back to the first on the machine of the database.
    assert_eq!(stand.run("policy policies new freeze --org acme --template freeze --target Platform.keys.revoke").1, 0);
    assert_eq!(stand.run("policy policies activate 2 --org acme").1, 0);
    says(
        &stand,
        "policy recover --database sqlite:policy.db --org acme",
        0,
        &expect_test::expect![[r"
        version 1 of org:acme is active again, in place of 2; servers follow within seconds
        next: policy policies list --org acme
    "]],
    );
    let (said, _) = stand.run("policy policies list --org acme");
    assert!(said.contains("1        active"), "{said}");
    let (said, _) = stand.run("policy audit query --kind change --org acme");
    assert!(said.contains("Platform.policies.recover"), "{said}");
    assert_eq!(stand.run("policy audit verify --org acme").1, 0);
    // The end of the chain, among those of others in one file.
    let (end, _) = stand.run("policy audit anchor --org acme --json");
    for (ends, ended) in
        [(format!("{{\"scope\": \"org:other\"}}\n{end}"), 0), ("{\"scope\": \"org:other\"}".to_owned(), 2)]
    {
        std::fs::write(stand.folder.join("anchors.jsonl"), ends).unwrap();
        let (said, code) = stand.run("policy audit verify --org acme --anchor anchors.jsonl");
        assert_eq!(code, ended, "{said}");
    }
}

#[test]
fn policies_go_to_files_and_come_back_as_drafts() {
    let stand = signed_in("files");
    let (said, code) = stand.run("policy init house --org acme --app orders");
    assert!(code == 0 && said.ends_with("next: cd house && policy test, then policy serve\n"), "{said}");
    assert_eq!(stand.run("policy init house").1, 2, "what is there is not overwritten");
    assert_eq!(stand.run("policy init elsewhere --org No").1, 2);
    assert!(!stand.folder.join("elsewhere").exists());
    for line in [
        "policy check --dir house/policies",
        "policy test --dir house/policies",
        "policy check --config house/policy.toml",
    ] {
        let (said, code) = stand.run(line);
        assert_eq!(code, 0, "{line}: {said}");
    }
    let (said, code) = stand.run("policy import --org acme --dir house/policies");
    assert!(code == 0 && said.starts_with("org:acme: version 1, checked and not active"), "{said}");
    assert!(said.contains("app:acme/orders: as it is on the server"), "{said}");
    assert_eq!(stand.run("policy policies activate 1 --org acme").1, 0);
    let (said, _) = stand.run("policy import --org acme --dir house/policies");
    assert!(said.starts_with("org:acme: as it is on the server"), "{said}");

    let (said, code) = stand.run("policy export --org acme --dir git");
    assert!(
        code == 0 && said.contains("org:acme: version 1, 1 files") && said.contains("next: policy check --dir git"),
        "{said}"
    );
    let rule = std::fs::read_to_string(stand.folder.join("git/org/acme/mfa-for-keys.rule")).unwrap();
    assert_eq!(rule, "forbid Platform.keys.create unless participant.mfa == true\n");
    assert_eq!(stand.run("policy check --dir git").1, 0);
    std::fs::write(stand.folder.join("git/org/acme/stale.rule"), &rule).unwrap();
    let (said, code) = stand.run("policy export --org acme --dir git");
    assert!(code == 2 && said.contains("stale.rule` is not on the server"), "{said}");
    assert_eq!(stand.run("policy export --org acme --dir git --prune").1, 0);
    assert!(!stand.folder.join("git/org/acme/stale.rule").exists());
    // A rule whose name would lead out of the folder is not written.
    assert_eq!(stand.run("policy policies new ../../evil --org acme --rule 'forbid Platform.keys.create'").1, 0);
    assert_eq!(stand.run("policy policies activate 2 --org acme").1, 0);
    assert_eq!(stand.run("policy export --org acme --dir git --prune").1, 0);
    assert!(stand.folder.join("git/org/acme/evil.rule").exists() && !stand.folder.join("evil.rule").exists());
}

#[test]
fn providers_and_connections_by_command() {
    let stand = signed_in("providers");
    says(
        &stand,
        "policy provider add corporate --issuer https://idp.example --audience orders --org acme",
        0,
        &expect_test::expect![[r"
        provider `acme/corporate` is there; servers know it within seconds
        next: policy provider use acme/corporate --org acme
    "]],
    );
    says(
        &stand,
        "policy provider list --org acme",
        0,
        &expect_test::expect![[r"
        PROVIDER        ISSUER               SECRET  IN THE FILE
        acme/corporate  https://idp.example  false   false
        next: policy provider add NAME --issuer URL --org acme
    "]],
    );
    assert_eq!(stand.run("policy provider use acme/corporate --app acme/orders --everybody user").1, 0);
    let (said, code) = stand.run("policy provider show corporate --org acme");
    assert!(code == 0 && said.contains("\"everybody\"") && said.contains("app:acme/orders"), "{said}");
    assert_eq!(stand.run("policy provider remove corporate --org acme").1, 0);
    assert_eq!(stand.run("policy provider remove corporate --org acme").1, 1);
    says(
        &stand,
        "policy connections --org acme",
        0,
        &expect_test::expect![[r"
        WHO  ADDRESS  SIGNED IN BY  CONNECTIONS
        next: policy audit query --kind sign-in --org acme
    "]],
    );
    for shell in ["bash", "zsh", "fish"] {
        let (said, code) = stand.run(&format!("policy completions {shell}"));
        assert!(code == 0 && said.contains("policy") && said.contains("provider"), "{shell}");
    }
}

/// Every command, at least once done and some refused, in an order in which each finds what it needs: the line, and how it ends.
/// `ID` is the id that the last answer in JSON has, `DECISION` the last that was refused.
const LINES: &[(&str, i32)] = &[
    ("policy init house --org acme --app orders", 0),
    ("policy init house", 2),
    ("policy check --dir house/policies", 0),
    ("policy check --dir nowhere", 2),
    ("policy check --config house/policy.toml", 0),
    ("policy check --config nowhere.toml", 1),
    ("policy fmt --dir house/policies", 0),
    ("policy schema keys --dir house/policies", 0),
    ("policy schema nothing --dir house/policies", 1),
    ("policy test --dir house/policies", 0),
    ("policy explain --dir house/policies --action Platform.keys.create --scope org:acme --role owner --mfa", 0),
    ("policy explain --dir house/policies --action Platform.keys.create --scope org:acme --role owner", 1),
    ("policy diff house/policies house/policies", 0),
    ("policy doctor", 0),
    ("policy doctor --config nowhere.toml", 2),
    ("policy completions bash", 0),
    ("policy login --profile root --bootstrap TOKEN --email root@example.com --password-file -", 0),
    ("policy org create acme --owner ann@acme.example --password-file - --profile root", 0),
    ("policy org create acme --owner ann@acme.example --password-file - --profile root", 1),
    ("policy org suspend acme --profile root", 0),
    ("policy org resume acme --profile root", 0),
    ("policy org list --profile root", 0),
    ("policy whoami", 2),
    ("policy login --org acme --email bob@acme.example --password-file -", 1),
    ("policy login --org acme --email ann@acme.example --password-file -", 0),
    ("policy whoami", 0),
    ("policy app create orders --org acme", 0),
    ("policy app list --org acme", 0),
    ("policy app list --org globex", 1),
    ("policy user add bob@acme.example --org acme", 0),
    ("policy user add cid@acme.example --org acme --json", 0),
    ("policy user list --org acme", 0),
    ("policy user change ID --add-role developer --org acme", 0),
    ("policy user invite ID --org acme", 0),
    ("policy user remove-second-factor ID --org acme", 1),
    ("policy policies may ID --org acme", 0),
    ("policy user remove ID --org acme", 0),
    ("policy user remove ID --org acme", 1),
    ("policy user add dan@acme.example --org acme --json", 0),
    ("policy user sessions ID --org acme", 0),
    ("policy user sign-out ID --org acme", 0),
    ("policy user export ID --org acme", 0),
    ("policy user erase ID --org acme", 0),
    ("policy user export ID --org acme", 1),
    ("policy user add more@example.com --role operator --system --profile root", 0),
    ("policy key create builds --org acme", 0),
    ("policy key create more --org acme --json", 0),
    ("policy key list --org acme", 0),
    ("policy key revoke ID --org acme", 0),
    ("policy provider add corporate --issuer https://idp.example --audience orders --org acme", 0),
    ("policy provider list --org acme", 0),
    ("policy provider show corporate --org acme", 0),
    ("policy provider show nobody --org acme", 2),
    ("policy provider add own --issuer https://own.example --audience orders --app acme/orders", 0),
    ("policy provider share own --app acme/orders --with org:acme", 0),
    ("policy provider unshare own --app acme/orders --with org:acme", 0),
    ("policy provider use acme/corporate --app acme/orders", 0),
    ("policy provider leave acme/corporate --app acme/orders", 0),
    ("policy provider remove corporate --org acme", 0),
    ("policy connections --org acme", 0),
    ("policy policies templates", 0),
    ("policy policies targets --org acme", 0),
    ("policy policies new no --org acme --rule 'forbid nothing'", 1),
    ("policy policies new mfa --org acme --rule 'forbid Platform.keys.create unless participant.mfa'", 0),
    ("policy policies list --org acme", 0),
    ("policy policies show --org acme", 0),
    ("policy policies show 2 --org acme", 0),
    ("policy policies show 9 --org acme", 1),
    ("policy policies validate 2 --org acme", 0),
    ("policy policies diff 2 --org acme", 0),
    ("policy policies try 2 --org acme", 0),
    ("policy policies shadow 2 --org acme", 0),
    ("policy policies shadow --org acme", 0),
    ("policy policies shadow --end --org acme", 0),
    ("policy policies activate 2 --org acme", 0),
    ("policy key create denied --org acme", 1),
    ("policy policies explain DECISION --org acme", 0),
    ("policy policies who Platform.keys.create --org acme", 0),
    ("policy export --org acme --dir git", 0),
    ("policy import --org acme --dir git", 0),
    ("policy policies rollback --org acme", 0),
    ("policy recover --database sqlite:policy.db --org acme", 0),
    ("policy recover --database sqlite:nowhere.db --org acme", 2),
    ("policy audit query --org acme", 0),
    ("policy audit counts --org acme", 0),
    ("policy audit export --org acme", 0),
    ("policy audit verify --org acme", 0),
    ("policy audit anchor --org acme", 0),
    ("policy audit require --org acme", 0),
    ("policy audit require com.example.Nowhere.pay --org acme", 1),
    ("policy sign-in --org acme", 0),
    ("policy sign-in --org acme --methods password,token,api-key --second-factor optional", 0),
    ("policy sign-in --app acme/orders --registration open --role customer", 0),
    ("policy sign-in --app acme/orders --registration closed --methods all", 0),
    ("policy manifests list --org acme", 0),
    ("policy manifests show 0 --org acme", 2),
    ("policy manifests prune --org acme", 0),
    ("policy client shop --scope app:acme/orders --redirect-uri https://shop.example/back", 0),
    ("policy client shop --scope app:acme/orders --redirect-uri https://shop.example/back", 2),
    ("policy rotate", 0),
    ("policy restored", 0),
    ("policy logout", 0),
];

/// The commands below one, by what each says of itself.
fn below(stand: &Stand, command: &str) -> Vec<String> {
    let (help, code) = stand.run(&format!("{command} --help"));
    assert_eq!(code, 0, "{command}: {help}");
    let Some((_, commands)) = help.split_once("Commands:\n") else { return vec![command.to_owned()] };
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").flat_map(|name| below(stand, &format!("{command} {name}"))).collect()
}

/// What a message ends with names a command that there is.
#[track_caller]
fn ends_with_a_command(line: &str, said: &str, commands: &[String]) {
    let next = said.trim_end().lines().next_back().and_then(|last| last.strip_prefix("next: "));
    let next = next.unwrap_or_else(|| panic!("{line} ends without the next command: {said}"));
    let named = next.match_indices("policy ").map(|(at, _)| next.get(at..).unwrap());
    let is_one = |text: &str| {
        let is = |command: &String| {
            text.strip_prefix(command.as_str()).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        commands.iter().any(is) || (text.starts_with("policy ") && text.ends_with(" --help"))
    };
    assert!(named.into_iter().any(is_one), "{line}: `{next}` names no command");
}

#[test]
fn every_message_of_every_command_ends_with_the_next_one() {
    let stand = Stand::start("next");
    let commands = below(&stand, "policy");
    assert!(commands.len() > 50, "{commands:?}");
    let (mut id, mut decision) = (String::new(), String::new());
    for (line, expected) in LINES {
        let line = line.replace("ID", &id).replace("DECISION", &decision);
        let (said, code) = stand.run(&line);
        assert_eq!(code, *expected, "{line}: {said}");
        if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&said) {
            id = answer.get("id").and_then(serde_json::Value::as_str).unwrap_or(&id).to_owned();
            continue;
        }
        ends_with_a_command(&line, &said, &commands);
        if let Some(denied) = said.split(['(', ')']).find(|part| part.starts_with("d-")) {
            denied.clone_into(&mut decision);
        }
    }
    for command in &commands {
        // Whoever cannot be understood is sent to the help of that command, which tells the codes that programs read.
        let (said, code) = stand.run(&format!("{command} --nothing-like-it"));
        assert!(code == 2 && said.ends_with(&format!("next: {command} --help\n")), "{command}: {said}");
        let (help, _) = stand.run(&format!("{command} --help"));
        let speaks_json = !["policy serve", "policy completions"].contains(&command.as_str());
        assert_eq!(help.contains("--json"), speaks_json, "{command}: {help}");
        // What a manifest is needed for stands in a test of its own, and a server has been started.
        let is_done = LINES.iter().any(|(line, code)| *code == 0 && line.starts_with(&format!("{command} ")))
            || LINES.contains(&(command.as_str(), 0));
        let elsewhere =
            ["policy serve", "policy manifests show", "policy manifests accept", "policy user remove-second-factor"];
        assert_eq!(is_done, !elsewhere.contains(&command.as_str()), "{command} is not tried");
    }
}

#[test]
fn a_flagged_manifest_is_looked_at_and_accepted() {
    let stand = signed_in_by("manifests", &[("POLICY_BROKEN_MANIFESTS", "flag")]);
    let (said, _) = stand.run("policy key create server --role resource-server --app acme/orders --json");
    let key = serde_json::from_str::<serde_json::Value>(&said).unwrap()["key"].as_str().unwrap().to_owned();
    let action = |name: &str| {
        serde_json::json!({
            "action": format!("com.acme.Orders.{name}"), "namespace": "com.acme", "tier": "application",
            "callers": ["application"], "participant": "Platform::Participant", "resource": "com::acme::Orders",
            "about": "service", "parameters": [], "rules": [], "authenticated": true, "sources": ["src/lib.rs:7"],
        })
    };
    let register = |version: &str, names: &[&str]| {
        let actions: Vec<_> = names.iter().map(|name| action(name)).collect();
        let new = serde_json::json!({ "version": version, "manifest": { "manifest": 1, "actions": actions } });
        let path = "/api/v1/scopes/app:acme%2Forders/manifests";
        let answer = post(&stand.url, path, &format!("x-api-key: {key}"), &new.to_string());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    register("1", &["place", "cancel"]);
    let new = "policy policies new mfa --org acme --rule 'forbid com.acme.Orders.place unless participant.mfa'";
    assert_eq!(stand.run(new).1, 0);
    assert_eq!(stand.run("policy policies activate 1 --org acme").1, 0);
    let (said, code) = stand.run("policy audit require com.acme.Orders.plaice --app acme/orders");
    assert!(code == 1 && said.contains("did you mean `com.acme.Orders.place`?"), "{said}");
    let (said, code) = stand.run("policy audit require com.acme.Orders.place --app acme/orders");
    let told = "in app:acme/orders no call of these runs before its record:\ncom.acme.Orders.place\n";
    assert!(code == 0 && said.starts_with(told), "{said}");
    assert!(stand.run("policy audit require --app acme/orders").0.starts_with(told));
    register("2", &["placeOrder", "cancel"]);
    let (said, _) = stand.run("policy manifests list --app acme/orders");
    let flagged = said.lines().find(|line| line.contains("flagged")).unwrap_or_else(|| panic!("{said}"));
    let hash = flagged.split_whitespace().next_back().unwrap();
    let (said, code) = stand.run(&format!("policy manifests show {hash} --org acme"));
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("version 2 of app:acme/orders is flagged\n"), "{said}");
    // Of an action that is gone it may be said no more, and go on being said while another is added.
    assert_eq!(stand.run("policy audit require com.acme.Orders.cancel --app acme/orders").1, 0);
    let (none, _) =
        stand.run("policy audit require com.acme.Orders.place com.acme.Orders.cancel --remove --app acme/orders");
    assert!(none.starts_with("in app:acme/orders nothing is said at run time"), "{none}");
    for part in [
        "rules that it broke:\n  org:acme: ",
        "closed:\n  com.acme.Orders.placeOrder\n",
        "moved:\n  `com.acme.Orders.place` is gone",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(said.ends_with(&format!("next: policy manifests accept {hash} --org acme\n")), "{said}");
    assert_eq!(stand.run(&format!("policy manifests show {hash} --org globex")).1, 1, "nothing of others");
    let (said, code) = stand.run(&format!("policy manifests accept {hash} --org acme"));
    assert!(code == 0 && said.contains("is accepted: nothing is closed"), "{said}");
    let (said, _) =
        stand.run("policy audit query --kind change --action Platform.applications.accept --app acme/orders");
    assert!(said.contains("allow"), "{said}");
}

#[test]
fn a_developer_tries_and_an_auditor_looks_by_their_keys() {
    let stand = signed_in("keys");
    let key = |role: &str| {
        let (said, _) = stand.run(&format!("policy key create {role} --role {role} --org acme --json"));
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let (developer, auditor) = (key("developer"), key("auditor"));
    let new = "policy policies new mfa --org acme --rule 'forbid Platform.keys.create unless participant.mfa'";
    for (line, by_developer, by_auditor) in [
        (new, 0, 1),
        ("policy policies validate 1 --org acme", 0, 1),
        ("policy policies activate 1 --org acme", 1, 1),
        ("policy user add eve@acme.example --org acme", 1, 1),
        ("policy audit query --org acme", 1, 0),
        ("policy audit verify --org acme", 1, 0),
        ("policy policies list --org acme", 0, 0),
        ("policy org list --json", 0, 0),
        ("policy app list --org globex", 1, 1),
    ] {
        for (key, expected) in [(&developer, by_developer), (&auditor, by_auditor)] {
            let (said, code) = stand.run_by(line, Some(key));
            assert_eq!(code, expected, "{line}: {said}");
        }
    }
    // A key of a server has the same name, and is no credential: whoever is signed in asks.
    let (said, code) = stand.run_by("policy whoami", Some(&"5a".repeat(32)));
    assert!(code == 0 && said.contains("ann@acme.example"), "{said}");
}
