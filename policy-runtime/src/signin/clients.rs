//! Clients: programs that ask for tokens, for a user or for themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy_core::{Participant, Scope, Slug};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::SignInError;
use crate::database::{Database, DatabaseError, Row};
use crate::id::random_id;
use crate::secret::Secret;

/// The longest id of a client.
const LONGEST_ID: usize = 100;
/// The longest address to come back to.
const LONGEST_URI: usize = 1_000;

/// What a client is, beside its id and its scope.
///
/// ```
/// use policy_runtime::signin::ClientSettings;
/// let shop = ClientSettings::new("The shop").redirect_uri("https://shop.example/callback").word("orders:read");
/// assert!(shop.words.contains(&"openid".to_owned()));
/// let shop = shop.logout_uri("https://shop.example/bye");
/// assert_eq!(shop.logout_uris.len(), 1, "it is no address for codes");
/// let robot = ClientSettings::new("The robot").for_itself(["packer"]);
/// assert!(robot.redirect_uris.is_empty(), "nobody signs in to it");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientSettings {
    /// The name that people see.
    pub name: String,
    /// Where it may be sent back to, letter by letter.
    pub redirect_uris: Vec<String>,
    /// Where a browser may be sent back to after signing out, letter by letter.
    #[serde(default)]
    pub logout_uris: Vec<String>,
    /// Whether it belongs to somebody else, whom users give leave to.
    pub third_party: bool,
    /// The words of `scope` that it may ask for.
    pub words: Vec<String>,
    /// For whom its access tokens are meant; if for nobody in particular, for this server.
    pub audience: Vec<String>,
    /// Whether it may act for itself.
    pub for_itself: bool,
    /// Its roles when it acts for itself.
    pub roles: Vec<String>,
}

impl ClientSettings {
    /// A client of one's own that signs people in, and may not be sent back to anywhere yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            redirect_uris: Vec::new(),
            logout_uris: Vec::new(),
            third_party: false,
            words: ["openid", "email", "profile", "offline_access"].map(str::to_owned).to_vec(),
            audience: Vec::new(),
            for_itself: false,
            roles: Vec::new(),
        }
    }

    /// Lets it be sent back to an address.
    #[must_use]
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.to_owned());
        self
    }

    /// Lets a browser be sent back to an address after signing out.
    #[must_use]
    pub fn logout_uri(mut self, uri: &str) -> Self {
        self.logout_uris.push(uri.to_owned());
        self
    }

    /// Says that it belongs to somebody else.
    #[must_use]
    pub const fn third_party(mut self) -> Self {
        self.third_party = true;
        self
    }

    /// Lets it ask for one more word of `scope`.
    #[must_use]
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// Adds somebody for whom its access tokens are meant.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience.push(audience.to_owned());
        self
    }

    /// Lets it act for itself, with these roles.
    #[must_use]
    pub fn for_itself<'a>(mut self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        self.for_itself = true;
        self.roles = roles.into_iter().map(str::to_owned).collect();
        self
    }

    fn check(&self) -> Result<(), SignInError> {
        let invalid = |text: String| Err(SignInError::Invalid(text));
        for uri in self.redirect_uris.iter().chain(&self.logout_uris) {
            if origin_of(uri).is_none() {
                return invalid(format!("`{uri}` is no address to come back to: https, or http on this machine"));
            }
        }
        // RFC 6749, section 3.3.
        let is_word = |w: &String| !w.is_empty() && w.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        match self.words.iter().find(|word| !is_word(word)) {
            Some(word) => invalid(format!("`{word}` is no word of `scope`")),
            None => Ok(()),
        }
    }
}

/// The origin of an address that a client may be sent back to; `None` if it is none.
pub(super) fn origin_of(uri: &str) -> Option<String> {
    let plain = uri.len() <= LONGEST_URI && uri.bytes().all(|b| b.is_ascii_graphic()) && !uri.contains('#');
    let parsed: http::Uri = uri.parse().ok().filter(|_| plain)?;
    let (scheme, authority) = (parsed.scheme_str()?, parsed.authority()?);
    let host = authority.host().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    // It also stands in a header, where other characters mean something.
    let is_plain = authority.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    (is_plain && (scheme == "https" || (scheme == "http" && is_here))).then(|| format!("{scheme}://{authority}"))
}

/// A client as it is stored.
///
/// ```
/// use policy_runtime::signin::Client;
/// fn told(client: &Client) -> String {
///     format!("{} ({}) of {}", client.id, client.settings.name, client.scope)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Client {
    /// Its id, as it presents it.
    pub id: String,
    /// Where its users sign in, and where it acts for itself.
    pub scope: Scope,
    /// What it is.
    pub settings: ClientSettings,
    /// Whether it may ask; also false while its organization is suspended.
    pub enabled: bool,
    participant: String,
    secret_hash: Option<Secret<String>>,
}

impl Client {
    /// Whether it can keep a secret, and must show it.
    pub const fn is_confidential(&self) -> bool {
        self.secret_hash.is_some()
    }

    /// Whether a secret is the client's own.
    pub(super) fn knows(&self, secret: &Secret<String>) -> bool {
        let expected = self.secret_hash.as_ref().map_or("", |hash| hash.expose().as_str());
        digest(secret.expose()).as_bytes().ct_eq(expected.as_bytes()).into()
    }

    pub(super) fn participant(&self) -> Participant {
        let roles = self.settings.roles.iter().map(String::as_str);
        Participant::builder(self.scope.clone(), &self.participant)
            .display_name(&self.settings.name)
            .roles(roles)
            .auth_type("token")
            .build()
    }
}

/// Of a random text of 128 bits and more, which needs no slow hash.
pub(super) fn digest(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

/// A random text of 256 bits, and its hash.
pub(super) fn fresh_secret(prefix: &str) -> Result<(Secret<String>, String), SignInError> {
    let text = format!("{prefix}{}{}", random_id()?, random_id()?);
    let hash = digest(&text);
    Ok((Secret::new(text), hash))
}

/// The clients of a deployment. Cheap to clone.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::signin::{ClientSettings, Clients, SignInError};
///
/// async fn register(clients: &Clients) -> Result<(), SignInError> {
///     let shop = Scope::application("acme", "shop").unwrap();
///     let settings = ClientSettings::new("The shop").redirect_uri("https://shop.example/callback");
///     let secret = clients.add_confidential("shop-web", &shop, &settings).await?;
///     // Shown once, here; a new one comes of `clients.renew_secret("shop-web")`.
///     drop(secret);
///     clients.add_public("shop-app", &shop, &settings).await?;
///     clients.set_enabled("shop-app", false).await?;
///     assert!(clients.find("shop-app").await?.is_some_and(|client| !client.enabled));
///     assert_eq!(clients.of(&shop).await?.len(), 2);
///     clients.remove("shop-app").await.map(drop)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Clients {
    database: Database,
}

macro_rules! clients_where {
    ($condition:literal) => {
        concat!(
            "SELECT c.id, c.participant, c.scope, c.settings, c.secret_hash, c.enabled, COALESCE(o.suspended, 0) ",
            "FROM policy_clients c LEFT JOIN policy_organizations o ON o.id = c.organization WHERE ",
            $condition,
            " ORDER BY c.id"
        )
    };
}

impl Clients {
    pub(super) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Registers a client that can keep a secret, and gives that, once.
    ///
    /// # Errors
    /// When the id is taken or none, an address cannot be used, or the database cannot be reached.
    pub async fn add_confidential(
        &self,
        id: &str,
        scope: &Scope,
        settings: &ClientSettings,
    ) -> Result<Secret<String>, SignInError> {
        let (secret, hash) = fresh_secret("cs_")?;
        self.add(id, scope, settings, Some(hash)).await?;
        Ok(secret)
    }

    /// Registers a client that runs where everybody can look into it: a page, an app.
    ///
    /// # Errors
    /// As [`Clients::add_confidential`]; also when it is to act for itself, which takes a secret.
    pub async fn add_public(&self, id: &str, scope: &Scope, settings: &ClientSettings) -> Result<(), SignInError> {
        if settings.for_itself {
            return Err(SignInError::Invalid("a client without a secret cannot act for itself".into()));
        }
        self.add(id, scope, settings, None).await
    }

    async fn add(
        &self,
        id: &str,
        scope: &Scope,
        settings: &ClientSettings,
        secret_hash: Option<String>,
    ) -> Result<(), SignInError> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_plain) {
            return Err(SignInError::Invalid(format!(
                "`{id}` is no id of a client: letters, digits, `-`, `_` and `.`"
            )));
        }
        // A client's token names it as its subject, and must never read like one of a user.
        if id.starts_with("u_") || id.starts_with("k_") {
            return Err(SignInError::Invalid("ids of clients do not begin like those of users and keys".into()));
        }
        settings.check()?;
        let mut tx = self.database.begin().await?;
        let row = vec![
            id.into(),
            format!("c_{}", random_id()?).into(),
            scope.to_string().into(),
            scope.organization_id().map(Slug::as_str).into(),
            serde_json::to_string(settings).map_err(|error| SignInError::Invalid(error.to_string()))?.into(),
            secret_hash.into(),
        ];
        let sql = "INSERT INTO policy_clients (id, participant, scope, organization, settings, secret_hash, enabled) \
                   VALUES ($1, $2, $3, $4, $5, $6, 1)";
        tx.run(sql, row).await.map_err(|error| {
            if error == DatabaseError::Exists {
                SignInError::Invalid(format!("there is a client `{id}` already"))
            } else if error == DatabaseError::Reference {
                SignInError::Invalid(format!("there is no scope `{scope}`"))
            } else {
                error.into()
            }
        })?;
        Ok(tx.commit().await?)
    }

    /// Finds a client, disabled ones too.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn find(&self, id: &str) -> Result<Option<Client>, SignInError> {
        self.database.row(clients_where!("c.id = $1"), vec![id.into()]).await?.map(|row| read(&row)).transpose()
    }

    /// The clients of a scope, by id.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn of(&self, scope: &Scope) -> Result<Vec<Client>, SignInError> {
        self.database
            .rows(clients_where!("c.scope = $1"), vec![scope.to_string().into()])
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Replaces a client's secret, and gives the new one, once; `None` where there is none to replace.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn renew_secret(&self, id: &str) -> Result<Option<Secret<String>>, SignInError> {
        let (secret, hash) = fresh_secret("cs_")?;
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_clients SET secret_hash = $2 WHERE id = $1 AND secret_hash IS NOT NULL";
        let done = tx.run(sql, vec![id.into(), hash.into()]).await? == 1;
        tx.commit().await?;
        Ok(done.then_some(secret))
    }

    /// Says whether a client may ask; one that may not gets no token, and what it got for itself ends.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn set_enabled(&self, id: &str, enabled: bool) -> Result<bool, SignInError> {
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE policy_clients SET enabled = $2 WHERE id = $1";
        let done = tx.run(sql, vec![id.into(), enabled.into()]).await? == 1;
        tx.commit().await?;
        Ok(done)
    }

    /// Removes a client with all that was given to it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn remove(&self, id: &str) -> Result<bool, SignInError> {
        let mut tx = self.database.begin().await?;
        let done = tx.run("DELETE FROM policy_clients WHERE id = $1", vec![id.into()]).await? == 1;
        tx.commit().await?;
        Ok(done)
    }
}

fn read(row: &Row) -> Result<Client, SignInError> {
    let damaged = |what: &str| SignInError::Database(DatabaseError::Unavailable(format!("a stored {what} is damaged")));
    Ok(Client {
        id: row.text(0)?,
        participant: row.text(1)?,
        scope: row.text(2)?.parse().map_err(|_| damaged("scope"))?,
        settings: serde_json::from_str(&row.text(3)?).map_err(|_| damaged("client"))?,
        secret_hash: row.maybe_text(4)?.map(Secret::new),
        enabled: row.bool(5)? && !row.bool(6)?,
    })
}
