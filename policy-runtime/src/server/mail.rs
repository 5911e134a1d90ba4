//! Who sends the letters of which scope, and which scopes lack somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy_core::Scope;

use super::{Examined, Finding, ServerError};
use crate::config::{Config, Env};
use crate::database::{Database, DatabaseAddress};
use crate::identity::{Directory, SqlStore, StoreError};
use crate::mail::{FileMailer, Letter, Mails, SmtpMailer};
use crate::secret::Secret;

/// Those that are configured; in development a private file for every other letter.
pub(super) fn mails(config: &Config) -> Result<(Mails, Option<FileMailer>), ServerError> {
    let mut mails = Mails::default();
    for (scope, settings) in &config.mails {
        let mailer = SmtpMailer::new(settings).map_err(|error| ServerError::Mail(scope.clone(), error))?;
        mails = mails.with(scope.clone(), Arc::new(mailer));
    }
    let file = (config.env == Env::Development).then(|| FileMailer::new(&config.letters));
    let mails = file.iter().fold(mails, |mails, file| mails.otherwise(Arc::new(file.clone())));
    Ok((mails, file))
}

/// Scopes, and the methods by which people sign in to those that say it.
#[derive(Debug, Default)]
struct Scopes {
    all: BTreeSet<Scope>,
    methods: BTreeMap<Scope, BTreeSet<String>>,
}

impl Scopes {
    /// Those of a store, whoever made them.
    async fn of(store: &dyn Directory) -> Result<Self, StoreError> {
        let (all, methods) = (store.scopes().await?, store.methods().await?);
        Ok(Self { all: all.into_iter().collect(), methods: methods.into_iter().collect() })
    }

    /// Adds those of a configuration, which has the say.
    fn and(mut self, config: &Config) -> Self {
        let of_organizations =
            config.scopes.iter().filter_map(|scope| scope.organization_id().cloned().map(Scope::Organization));
        self.all.extend(config.scopes.iter().cloned().chain(of_organizations));
        self.methods.extend(config.methods.iter().cloned());
        self
    }

    /// Those that need mail and lack it: people sign in there with passwords, which they forget.
    fn lacking(mut self, system_sign_in: bool, mails: &Mails) -> Vec<Scope> {
        self.all.extend(system_sign_in.then_some(Scope::System));
        let methods = self.methods;
        let needs = |scope: &Scope| methods.get(scope).is_none_or(|methods| methods.contains("password"));
        self.all.into_iter().filter(|scope| needs(scope) && mails.of(scope).is_none()).collect()
    }
}

/// The scopes of a store that need mail and lack it.
pub(super) async fn lacking(
    store: &dyn Directory,
    system_sign_in: bool,
    mails: &Mails,
) -> Result<Vec<Scope>, StoreError> {
    Ok(Scopes::of(store).await?.lacking(system_sign_in, mails))
}

/// Says at the start which they are.
pub(super) fn warn(lacking: &[Scope]) {
    for scope in lacking {
        tracing::warn!(target: "policy::server", %scope, "the scope needs mail and lacks it");
    }
}

/// The scopes of a database as it stands; none where the first start is still to come.
async fn stored(address: &DatabaseAddress) -> Result<Scopes, StoreError> {
    let is_there = match address {
        DatabaseAddress::Memory => false,
        DatabaseAddress::File(path) => path.exists(),
        DatabaseAddress::Postgres { .. } => true,
    };
    if !is_there {
        return Ok(Scopes::default());
    }
    let store = SqlStore::new(Database::as_it_stands(address).await?);
    Scopes::of(&store).await
}

/// Names the scopes that lack mail, those that were made at run time too, and sends a letter by every server of mail that is configured.
///
/// ```
/// use policy_runtime::config::Config;
/// use policy_runtime::server::examine_mail;
///
/// async fn reaches(config: &Config, to: &str) -> bool {
///     examine_mail(config, Some(to)).await.is_good()
/// }
/// ```
pub async fn examine_mail(config: &Config, to: Option<&str>) -> Examined {
    let mut found = Vec::new();
    // In development, files are enough; here it is told what production would lack.
    let configured: BTreeMap<_, _> =
        config.mails.iter().map(|(scope, settings)| (scope, SmtpMailer::new(settings))).collect();
    let mut mails = Mails::default();
    for (scope, mailer) in configured {
        let mailer = match mailer {
            Ok(mailer) => Arc::new(mailer),
            Err(error) => {
                found.push(Finding::Wrong(format!("mail of `{scope}`: {error}")));
                continue;
            }
        };
        mails = mails.with(scope.clone(), mailer.clone());
        let Some(to) = to else { continue };
        let text = Secret::new(format!("This letter shows that mail of `{scope}` is sent.\n"));
        let sent = match Letter::new(to, "A letter to try", text) {
            Ok(letter) => crate::mail::Mailer::send(mailer.as_ref(), &letter).await,
            Err(error) => Err(error),
        };
        found.push(match sent {
            Ok(()) => Finding::Good(format!("mail of `{scope}`: a letter was handed over")),
            Err(error) => Finding::Wrong(format!("mail of `{scope}`: {error}")),
        });
    }
    let scopes = stored(&config.database).await.unwrap_or_else(|error| {
        found.push(Finding::Look(format!("scopes that stand in the database alone are not known: {error}")));
        Scopes::default()
    });
    for scope in scopes.and(config).lacking(config.system_sign_in, &mails) {
        let registers = config.people.get(&scope).is_some_and(|rules| rules.registration.is_some());
        let what =
            format!("scope `{scope}` needs mail and lacks it: nobody registers there or replaces a forgotten password");
        found.push(if registers || to.is_some() { Finding::Wrong(what) } else { Finding::Look(what) });
    }
    Examined(found)
}
