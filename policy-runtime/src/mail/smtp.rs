//! Letters by SMTP, over TLS by rustls.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde::Deserialize;

use super::{Letter, MailError, Mailer};
use crate::secret::Secret;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// How long each answer of the server may take, and the whole letter.
const ANSWER: Duration = Duration::from_secs(10);
const LETTER: Duration = Duration::from_secs(30);

/// How a server of mail is spoken to.
///
/// ```
/// use policy_runtime::mail::MailTls;
/// assert_eq!(MailTls::default(), MailTls::Wrapped);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "TLS comes first, or second, or not at all")]
pub enum MailTls {
    /// TLS from the first byte, port 465.
    #[default]
    Wrapped,
    /// `STARTTLS` on port 587, which the server must offer.
    Starttls,
    /// None, port 25; only to a server on this machine.
    None,
}

/// A server of mail, and who letters are from.
///
/// ```
/// use policy_runtime::mail::{SmtpMailer, SmtpSettings};
/// use policy_runtime::secret::Secret;
/// let mut settings = SmtpSettings::new("mail.example", "The shop <no-reply@shop.example>");
/// settings.user = Some(("shop".to_owned(), Secret::new("hush".to_owned())));
/// assert!(!format!("{:?}", SmtpMailer::new(&settings).unwrap()).contains("hush"));
/// settings.from = "nobody".to_owned();
/// assert!(SmtpMailer::new(&settings).is_err());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SmtpSettings {
    /// The server's name, which its certificate has.
    pub host: String,
    /// Its port, if it is not the usual one.
    pub port: Option<u16>,
    /// How it is spoken to.
    pub tls: MailTls,
    /// A name and a password that it asks for.
    pub user: Option<(String, Secret<String>)>,
    /// Who letters are from.
    pub from: String,
}

impl SmtpSettings {
    /// A server that is spoken to by TLS and asks for no password.
    pub fn new(host: &str, from: &str) -> Self {
        Self { host: host.to_owned(), port: None, tls: MailTls::Wrapped, user: None, from: from.to_owned() }
    }
}

/// Sends letters by SMTP, each over a connection of its own.
///
/// ```
/// use policy_runtime::mail::{MailTls, SmtpMailer, SmtpSettings};
/// let mut settings = SmtpSettings::new("mail.example", "no-reply@shop.example");
/// settings.tls = MailTls::None;
/// assert!(SmtpMailer::new(&settings).is_err(), "over plain text to another machine");
/// ```
#[derive(Clone)]
pub struct SmtpMailer {
    transport: Transport,
    from: Mailbox,
    host: String,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Checks the settings; nobody is spoken to yet.
    ///
    /// # Errors
    /// When the server cannot be spoken to so, or nobody can be a sender of that name.
    pub fn new(settings: &SmtpSettings) -> Result<Self, MailError> {
        let host = settings.host.as_str();
        let none = |_| MailError::new(format!("`{host}` is no name of a server"));
        let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let builder = match settings.tls {
            MailTls::Wrapped => Transport::relay(host).map_err(none)?,
            MailTls::Starttls => Transport::starttls_relay(host).map_err(none)?,
            MailTls::None if is_here => Transport::builder_dangerous(host),
            MailTls::None => return Err(MailError::new(format!("`{host}` is spoken to in plain text"))),
        };
        let builder = settings.port.into_iter().fold(builder, AsyncSmtpTransportBuilder::port).timeout(Some(ANSWER));
        let builder = settings.user.iter().fold(builder, |builder, (name, password)| {
            builder.credentials(Credentials::new(name.clone(), password.expose().clone()))
        });
        let from = settings.from.parse().map_err(|_| MailError::new(format!("`{}` is no sender", settings.from)))?;
        Ok(Self { transport: builder.build(), from, host: host.to_owned() })
    }

    fn message(&self, letter: &Letter) -> Result<Message, MailError> {
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, letter.to.clone()))
            .subject(&letter.subject)
            .header(ContentType::TEXT_PLAIN);
        message.body(letter.text.expose().clone()).map_err(|error| MailError::new(error.to_string()))
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let sent = tokio::time::timeout(LETTER, self.transport.send(self.message(letter)?)).await;
            match sent {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(MailError::new(said(&error))),
                Err(_) => Err(MailError::new(format!("`{}` took too long", self.host))),
            }
        })
    }
}

/// What kind of failure it was. The server's own words could repeat the letter's address.
fn said(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the server said {code}"),
        None if error.is_timeout() => "the server took too long".to_owned(),
        None if error.is_tls() => "there is no TLS with the server".to_owned(),
        None => "the server cannot be spoken to".to_owned(),
    }
}
