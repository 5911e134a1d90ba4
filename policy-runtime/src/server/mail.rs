//! Who sends the letters of which scope, and which scopes lack somebody.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy_core::Scope;

use super::{Examined, Finding, ServerError};
use crate::config::{Config, Env};
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

/// Whether people sign in to a scope with passwords, which they forget.
fn needs(config: &Config, scope: &Scope) -> bool {
    let methods = config.methods.iter().find(|(known, _)| known == scope).map(|(_, methods)| methods);
    methods.is_none_or(|methods| methods.contains("password"))
}

/// The scopes that need mail and lack it.
pub(super) fn lacking(config: &Config, mails: &Mails) -> Vec<Scope> {
    let system = config.system_sign_in.then_some(Scope::System);
    let of_organizations =
        config.scopes.iter().filter_map(|scope| scope.organization_id().cloned().map(Scope::Organization));
    let all: std::collections::BTreeSet<Scope> =
        config.scopes.iter().cloned().chain(of_organizations).chain(system).collect();
    all.into_iter().filter(|scope| needs(config, scope) && mails.of(scope).is_none()).collect()
}

/// Names the scopes that lack mail, and sends a letter by every server of mail that is configured.
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
    for scope in lacking(config, &mails) {
        let registers = config.people.get(&scope).is_some_and(|rules| rules.registration.is_some());
        let what =
            format!("scope `{scope}` needs mail and lacks it: nobody registers there or replaces a forgotten password");
        found.push(if registers || to.is_some() { Finding::Wrong(what) } else { Finding::Look(what) });
    }
    Examined(found)
}
