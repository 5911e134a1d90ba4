//! Clients that get tokens here, and the keys that sign these.

use clap::Args;
use policy_runtime::server::Prepared;
use policy_runtime::signin::{ClientSettings, PUBLISHED_BEFORE_S};
use serde_json::json;

use crate::Failure;
use crate::serve::{Configured, Maintained, configuration};
use crate::told::Told;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Client {
    /// What the client calls itself
    id: String,
    /// Where its users are, such as `app:acme/orders`
    #[arg(long)]
    scope: String,
    /// The name that people see; the id, if not said
    #[arg(long)]
    name: Option<String>,
    /// Where browsers may be sent back to; may be given again
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Where they may be sent back to after signing out; may be given again
    #[arg(long = "logout-uri", value_name = "URI")]
    logout_uris: Vec<String>,
    /// Whom its tokens are for; may be given again
    #[arg(long, value_name = "WHOM")]
    audience: Vec<String>,
    /// A word of scope that it may ask for; may be given again
    #[arg(long = "word")]
    words: Vec<String>,
    /// It keeps no secret: a browser, an app
    #[arg(long)]
    public: bool,
    /// Users are asked before it gets tokens
    #[arg(long)]
    third_party: bool,
    /// It also gets tokens for itself, without a user
    #[arg(long)]
    for_itself: bool,
    /// A role that it has for itself; may be given again
    #[arg(long = "role")]
    roles: Vec<String>,
    #[command(flatten)]
    configured: Configured,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn client(arguments: &Client) -> Result<Told, Failure> {
    let prepared = Prepared::new(&configuration(&arguments.configured)?).await?;
    let scope = arguments.scope.parse()?;
    let mut settings = ClientSettings::new(arguments.name.as_deref().unwrap_or(&arguments.id));
    settings.redirect_uris.clone_from(&arguments.redirect_uris);
    settings.logout_uris.clone_from(&arguments.logout_uris);
    settings.audience.clone_from(&arguments.audience);
    settings.words.extend(arguments.words.iter().cloned());
    settings.third_party = arguments.third_party;
    if arguments.for_itself {
        settings = settings.for_itself(arguments.roles.iter().map(String::as_str));
    }
    let clients = &prepared.sign_in.stored().clients;
    if arguments.public {
        clients.add_public(&arguments.id, &scope, &settings).await?;
        let text = format!("the client `{}` is registered", arguments.id);
        Ok(Told::new(text, json!({ "id": arguments.id }), "policy serve"))
    } else {
        let secret = clients.add_confidential(&arguments.id, &scope, &settings).await?;
        let text = format!("the secret, which is shown once: {}", secret.expose());
        Ok(Told::new(text, json!({ "id": arguments.id, "secret": secret.expose() }), "policy serve"))
    }
}

pub(crate) async fn rotate(arguments: &Maintained) -> Result<Told, Failure> {
    let prepared = Prepared::new(&configuration(&arguments.configured)?).await?;
    let kid = prepared.sign_in.stored().keys.rotate().await?;
    let text = format!("key {kid} signs in {} minutes, when every verifier has it", PUBLISHED_BEFORE_S / 60);
    Ok(Told::new(text, json!({ "kid": kid, "signsInSeconds": PUBLISHED_BEFORE_S }), "policy doctor"))
}
