//! The configuration as it is written: `policy.toml`, then the variables of the environment over it.

use serde::Deserialize;

use super::audit::RawAudit;
use super::environment::Environment;
use super::secrets::Written;
use crate::identity::{PasswordRules, ProviderSettings, ReferenceSettings, Registration, SecondFactorRule};
use crate::mail::MailTls;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) env: Option<String>,
    pub(super) server: RawServer,
    pub(super) database: RawDatabase,
    pub(super) secrets: RawSecrets,
    pub(super) policies: RawPolicies,
    pub(super) application: RawApplication,
    pub(super) organization: Vec<RawOrganization>,
    pub(super) provider: Vec<RawProvider>,
    pub(super) scope: Vec<RawScope>,
    pub(super) mail: Vec<RawMail>,
    pub(super) audit: RawAudit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServer {
    pub(super) listen: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) system_sign_in: Option<bool>,
    pub(super) rate_limits: Option<bool>,
    pub(super) cors_origins: Vec<String>,
    pub(super) cors_credentials: Option<bool>,
    pub(super) secure_cookies: Option<bool>,
    pub(super) tls_chain_file: Option<String>,
    pub(super) tls_key_file: Option<String>,
    pub(super) token_algorithm: Option<String>,
    pub(super) founding: Option<bool>,
    pub(super) broken_manifests: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDatabase {
    pub(super) url: Option<String>,
    pub(super) url_file: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSecrets {
    pub(super) key: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) earlier_keys: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPolicies {
    pub(super) bound_seconds: Option<u64>,
    pub(super) report_stale: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawApplication {
    pub(super) organization: Option<String>,
    pub(super) id: Option<String>,
    pub(super) version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOrganization {
    pub(super) id: String,
    #[serde(default)]
    pub(super) applications: Vec<String>,
    /// Applications in each of which a session of another counts.
    #[serde(default)]
    pub(super) shared_sign_in: Vec<String>,
}

/// Its own keys are taken out first; the others are the provider's settings, which refuse what they do not know.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(super) struct RawProvider {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) secret: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_secret_file: Option<String>,
    pub(super) tls_roots_file: Option<String>,
    pub(super) uses: Vec<RawUse>,
    pub(super) settings: ProviderSettings,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(super) struct RawUse {
    pub(super) scope: String,
    pub(super) settings: ReferenceSettings,
}

impl TryFrom<toml::Table> for RawProvider {
    type Error = String;

    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        let name: String = taken(&mut table, "name")?.ok_or("a provider has no `name`")?;
        let within = |error: String| format!("provider `{name}`: {error}");
        Ok(Self {
            owner: taken(&mut table, "owner")
                .and_then(|owner| owner.ok_or("there is no `owner`".into()))
                .map_err(within)?,
            secret: taken(&mut table, "secret").map_err(within)?,
            secret_file: taken(&mut table, "secret_file").map_err(within)?,
            client_secret: taken(&mut table, "client_secret").map_err(within)?,
            client_secret_file: taken(&mut table, "client_secret_file").map_err(within)?,
            tls_roots_file: taken(&mut table, "tls_roots_file").map_err(within)?,
            uses: taken(&mut table, "use").map_err(within)?.unwrap_or_default(),
            settings: table.try_into().map_err(|error: toml::de::Error| within(error.message().to_owned()))?,
            name,
        })
    }
}

impl TryFrom<toml::Table> for RawUse {
    type Error = String;

    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        let scope = taken(&mut table, "scope")?.ok_or("a use has no `scope`")?;
        Ok(Self { scope, settings: table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())? })
    }
}

fn taken<T: serde::de::DeserializeOwned>(table: &mut toml::Table, key: &str) -> Result<Option<T>, String> {
    let value = table.remove(key).map(toml::Value::try_into);
    value.transpose().map_err(|error: toml::de::Error| format!("`{key}`: {}", error.message()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScope {
    pub(super) scope: String,
    pub(super) methods: Option<Vec<String>>,
    pub(super) passwords: Option<PasswordRules>,
    pub(super) registration: Option<Registration>,
    #[serde(default)]
    pub(super) own_attributes: Vec<String>,
    pub(super) second_factor: Option<SecondFactorRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMail {
    pub(super) scope: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) tls: MailTls,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) from: String,
}

/// The variables that stand for a setting.
pub(super) const VARIABLES: [&str; 25] = [
    "POLICY_ENV",
    "POLICY_LISTEN",
    "POLICY_BASE_URL",
    "POLICY_TRUSTED_PROXIES",
    "POLICY_SYSTEM_SIGN_IN",
    "POLICY_RATE_LIMITS",
    "POLICY_CORS_ORIGINS",
    "POLICY_CORS_CREDENTIALS",
    "POLICY_SECURE_COOKIES",
    "POLICY_TLS_CHAIN_FILE",
    "POLICY_TLS_KEY_FILE",
    "POLICY_TOKEN_ALGORITHM",
    "POLICY_FOUNDING",
    "POLICY_BROKEN_MANIFESTS",
    "POLICY_DATABASE_URL",
    "POLICY_DATABASE_URL_FILE",
    "POLICY_DATABASE_USER",
    "POLICY_DATABASE_PASSWORD",
    "POLICY_DATABASE_PASSWORD_FILE",
    "POLICY_KEY",
    "POLICY_KEY_FILE",
    "POLICY_ORGANIZATION",
    "POLICY_APPLICATION",
    "POLICY_APPLICATION_VERSION",
    "POLICY_CONFIG",
];

/// Says to the command line where a server is, and nothing to servers.
const ADDRESS: &str = "POLICY_URL";

impl Raw {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }

    /// Puts the variables over what the file says.
    pub(super) fn overlay(&mut self, environment: &Environment, faults: &mut Vec<String>) {
        for name in environment.names("POLICY_") {
            if !VARIABLES.contains(&name) && name != ADDRESS {
                let near = policy_core::name::nearest(name, VARIABLES);
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                faults.push(format!("there is no setting `{name}`{near}"));
            }
        }
        let text = |name: &str, slot: &mut Option<String>| {
            if let Some(value) = environment.get(name) {
                *slot = Some(value.to_owned());
            }
        };
        let list = |name: &str, slot: &mut Vec<String>| {
            if let Some(value) = environment.get(name) {
                *slot = value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
            }
        };
        // A value given in one form replaces both forms of the file.
        let secret = |names: [&str; 2], value: &mut Option<String>, file: &mut Option<String>| {
            let given = names.map(|name| environment.get(name).map(str::to_owned));
            if given.iter().any(Option::is_some) {
                [*value, *file] = given;
            }
        };
        text("POLICY_ENV", &mut self.env);
        text("POLICY_LISTEN", &mut self.server.listen);
        text("POLICY_BASE_URL", &mut self.server.base_url);
        list("POLICY_TRUSTED_PROXIES", &mut self.server.trusted_proxies);
        list("POLICY_CORS_ORIGINS", &mut self.server.cors_origins);
        text("POLICY_TLS_CHAIN_FILE", &mut self.server.tls_chain_file);
        text("POLICY_TLS_KEY_FILE", &mut self.server.tls_key_file);
        text("POLICY_TOKEN_ALGORITHM", &mut self.server.token_algorithm);
        text("POLICY_BROKEN_MANIFESTS", &mut self.server.broken_manifests);
        for (name, slot) in [
            ("POLICY_SYSTEM_SIGN_IN", &mut self.server.system_sign_in),
            ("POLICY_RATE_LIMITS", &mut self.server.rate_limits),
            ("POLICY_CORS_CREDENTIALS", &mut self.server.cors_credentials),
            ("POLICY_SECURE_COOKIES", &mut self.server.secure_cookies),
            ("POLICY_FOUNDING", &mut self.server.founding),
        ] {
            match environment.get(name) {
                None => {}
                Some("true") => *slot = Some(true),
                Some("false") => *slot = Some(false),
                Some(_) => faults.push(format!("`{name}` is `true` or `false`")),
            }
        }
        let database = &mut self.database;
        // The names that many platforms set come first, ours win.
        secret(["DB_URL", "DB_URL_FILE"], &mut database.url, &mut database.url_file);
        secret(["POLICY_DATABASE_URL", "POLICY_DATABASE_URL_FILE"], &mut database.url, &mut database.url_file);
        text("DB_USER", &mut database.user);
        text("POLICY_DATABASE_USER", &mut database.user);
        for names in
            [["DB_PASSWORD", "DB_PASSWORD_FILE"], ["POLICY_DATABASE_PASSWORD", "POLICY_DATABASE_PASSWORD_FILE"]]
        {
            secret(names, &mut database.password, &mut database.password_file);
        }
        secret(["POLICY_KEY", "POLICY_KEY_FILE"], &mut self.secrets.key, &mut self.secrets.key_file);
        text("POLICY_ORGANIZATION", &mut self.application.organization);
        text("POLICY_APPLICATION", &mut self.application.id);
        text("POLICY_APPLICATION_VERSION", &mut self.application.version);
        self.provider.extend(of_environment(environment, &self.application));
    }
}

/// The one provider of an application that says only `AUTH_ISSUER` and `AUTH_AUDIENCE`, or `JWT_SECRET`, or both.
fn of_environment(environment: &Environment, application: &RawApplication) -> Option<RawProvider> {
    let secret = environment.get("JWT_SECRET").map(str::to_owned);
    let secret_file = environment.get("JWT_SECRET_FILE").map(str::to_owned);
    let issuer = environment.get("AUTH_ISSUER");
    if secret.is_none() && secret_file.is_none() && issuer.is_none() {
        return None;
    }
    let preset = environment.get("AUTH_PRESET");
    let mut settings = ProviderSettings::of(preset.unwrap_or("oidc"));
    settings.issuer = issuer.map(str::to_owned);
    settings.audience = environment.get("AUTH_AUDIENCE").map(str::to_owned).into_iter().collect();
    // Nobody says what the issuer is, so its keys are looked for in the usual places.
    settings.any_place = preset.is_none();
    let organization = application.organization.as_deref().unwrap_or(super::DEFAULT_ORGANIZATION);
    let id = application.id.as_deref().unwrap_or(super::DEFAULT_APPLICATION);
    Some(RawProvider {
        name: "environment".to_owned(),
        owner: format!("org:{organization}"),
        secret,
        secret_file,
        client_secret: None,
        client_secret_file: None,
        tls_roots_file: environment.get("AUTH_TLS_ROOTS_FILE").map(str::to_owned),
        uses: vec![RawUse { scope: format!("app:{organization}/{id}"), settings: ReferenceSettings::default() }],
        settings,
    })
}

impl RawDatabase {
    pub(super) fn url(&self) -> Written {
        Written { value: self.url.clone(), file: self.url_file.clone() }
    }

    pub(super) fn password(&self) -> Written {
        Written { value: self.password.clone(), file: self.password_file.clone() }
    }
}
