//! From nothing to a folder with a configuration and policies that check.

use std::path::{Path, PathBuf};

use clap::Args;
use policy_core::registry::Registry;

use crate::Failure;
use crate::told::Told;

#[derive(Args)]
pub(crate) struct Init {
    /// The folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The organization that the first policies are of
    #[arg(long, default_value = "default")]
    org: String,
    /// Its application
    #[arg(long, default_value = "default")]
    app: String,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const CONFIG: &str = "\
# Settings of `policy serve`; every one can be given by the environment, too (`POLICY_LISTEN`, ..).

[server]
listen = \"127.0.0.1:58503\"
system_sign_in = true                 # operators of the platform may sign in here

[database]
url = \"sqlite:policy.db\"              # or postgres://..

[application]
organization = \"ORG\"
id = \"APP\"

[audit]
decisions = \"denials\"                 # all, denials, required, or a share such as 1/100
inputs = false                        # true: drafts can be tried over what was recorded
";

const RULE: &str = "\
# Keys for machines are made only by somebody who signed in with a second factor.
forbid Platform.keys.create unless participant.mfa == true
";

const TESTS: &str = "\
scope: org:ORG
participants:
  ann: { scope: org:ORG, roles: [owner], mfa: true }
  bob: { scope: org:ORG, roles: [owner] }
tests:
  - { name: with a second factor, participant: ann, action: Platform.keys.create, expect: allow }
  - name: without one
    participant: bob
    action: Platform.keys.create
    expect: deny
    rule: mfa-for-keys
";

pub(crate) fn init(arguments: &Init) -> Result<Told, Failure> {
    // Names that cannot be used are told before anything is written.
    policy_runtime::Scope::application(&arguments.org, &arguments.app)?;
    let filled = |text: &str| text.replace("ORG", &arguments.org).replace("APP", &arguments.app);
    let policies = Path::new("policies");
    let files = [
        (PathBuf::from("policy.toml"), filled(CONFIG)),
        (policies.join("manifest.json"), serde_json::to_string_pretty(&Registry::program()?.manifest())? + "\n"),
        (policies.join("org").join(&arguments.org).join("mfa-for-keys.rule"), RULE.to_owned()),
        (policies.join("tests").join("keys.yaml"), filled(TESTS)),
        (PathBuf::from(".gitignore"), "policy.db*\npolicy.key\n".to_owned()),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| arguments.dir.join(path).exists()) {
        return Err(format!("`{}` is there already, and nothing is written", arguments.dir.join(path).display()).into());
    }
    let (mut told, mut wrote) = (String::new(), Vec::new());
    for (path, text) in &files {
        let path = arguments.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&path, text)?;
        told.extend(["wrote ", &path.display().to_string(), "\n"]);
        wrote.push(path.display().to_string());
    }
    let here = arguments.dir == Path::new(".");
    let to = if here { String::new() } else { format!("cd {} && ", arguments.dir.display()) };
    Ok(Told::new(told, serde_json::json!({ "wrote": wrote }), format!("{to}policy test, then policy serve")))
}
