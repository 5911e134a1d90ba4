//! The people of the fixture.

use policy_runtime::authn::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome};
use policy_runtime::credential::{Credential, Credentials};
use policy_runtime::value::Millis;
use policy_runtime::{Participant, Scope};

/// Knows alice, bob, vera, and carol of another organization, by password, and by tokens of the literal form `tok.<e-mail>.<number>`.
///
/// A token may end in `.expired`, or in `.until.<milliseconds since 1970>`. Nothing outside tests may accept such tokens.
#[derive(Debug)]
pub struct Users {
    scope: Scope,
}

/// E-mail, password, id, roles; whether they are of the other organization.
const PEOPLE: [(&str, &str, &str, &[&str], bool); 4] = [
    ("alice@example.com", "alice-pw", "u-alice", &["finance", "user"], false),
    ("bob@example.com", "bob-pw", "u-bob", &["user"], false),
    ("vera@example.com", "vera-pw", "u-vera", &["auditor"], false),
    ("carol@globex.example", "carol-pw", "u-carol", &["finance", "user"], true),
];

/// The application of another organization.
///
/// # Panics
/// Never: the ids are fixed.
#[expect(clippy::expect_used, reason = "only tests call it")]
pub fn elsewhere() -> Scope {
    Scope::application("globex", "desk").expect("the ids are ids")
}

impl Users {
    /// The people, in one scope.
    pub const fn of(scope: Scope) -> Self {
        Self { scope }
    }

    fn participant(&self, email: &str, auth_type: &str) -> Option<Participant> {
        let (email, _, id, roles, elsewhere) = PEOPLE.iter().find(|(known, ..)| *known == email)?;
        let scope = if *elsewhere { self::elsewhere() } else { self.scope.clone() };
        let builder = Participant::builder(scope, id).email(email).display_name(email);
        Some(builder.roles(roles.iter().copied()).auth_type(auth_type).build())
    }

    fn by_password(&self, name: &str, passcode: &str) -> Option<Authenticated> {
        let known = PEOPLE.iter().any(|(email, password, ..)| *email == name && *password == passcode);
        let participant = self.participant(name, "password").filter(|_| known)?;
        Some(Authenticated::new(participant, "password"))
    }

    fn by_token(&self, token: &str) -> Result<Authenticated, AuthnCode> {
        let rest = token.strip_prefix("tok.").ok_or(AuthnCode::TokenMalformed)?;
        let (email, kind) = match rest.split_once(".until.") {
            Some((email, end)) => (email, Some(end)),
            None => (rest.rsplit_once('.').ok_or(AuthnCode::TokenMalformed)?.0, None),
        };
        let participant = self.participant(email, "token").ok_or(AuthnCode::TokenSubject)?;
        let found = Authenticated::new(participant, "token");
        match (kind, rest.rsplit_once('.').map(|(_, end)| end)) {
            (Some(end), _) => Ok(found.expires_at(Millis(end.parse().map_err(|_| AuthnCode::TokenMalformed)?))),
            (None, Some("expired")) => Err(AuthnCode::TokenExpired),
            (None, Some(number)) if number.parse::<u64>().is_ok() => Ok(found),
            (None, _) => Err(AuthnCode::TokenMalformed),
        }
    }
}

impl Authenticator for Users {
    fn method(&self) -> &'static str {
        "fixture"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        let found = match credential {
            Credential::Login { name, passcode, .. } => {
                self.by_password(name, passcode.expose()).ok_or(AuthnCode::WrongCredentials)
            }
            Credential::Bearer(token) => self.by_token(token.expose()),
            Credential::ApiKey(_) | Credential::Custom { .. } | _ => {
                return Box::pin(async { Outcome::NotPresented });
            }
        };
        Box::pin(async move {
            match found {
                Ok(found) => Outcome::Authenticated(Box::new(found)),
                Err(code) => AuthnError::new(code, "the fixture knows nobody by it").into(),
            }
        })
    }
}
