//! What the pages of sign-in do with second factors: who waits for a code, seeds that are shown, how a sign-in is finished.

use std::fmt::Write as _;

use super::{HEADER, SecondFactors, Seed, random, recovery_codes, totp, unavailable, wrong};
use crate::authn::{AuthnCode, AuthnError};
use crate::credential::Credential;
use crate::identity::User;
use crate::secret::Secret;

/// The bytes of a seed (RFC 4226, section 4).
const SEED: usize = 20;

impl SecondFactors {
    /// The user of a pending token, if nothing of them has changed since.
    ///
    /// # Errors
    /// When the token is not good, or the store cannot be reached.
    pub(crate) async fn waiting(&self, token: &Secret<String>) -> Result<User, AuthnError> {
        self.user_of(&self.read(token.expose())?).await
    }

    /// Makes a seed for a user, in place of one that was not confirmed; it counts once a first code was shown.
    ///
    /// # Errors
    /// When the user has a second factor already, or the store cannot be reached.
    pub(crate) async fn propose(&self, user: &User) -> Result<Seed, AuthnError> {
        let seed = random::<SEED>()?;
        let proposed = self.factors.propose(&user.id, &Secret::new(seed.to_vec())).await.map_err(unavailable)?;
        if !proposed {
            return Err(AuthnError::new(AuthnCode::Forbidden, "there is a second factor already"));
        }
        Ok(self.seed(user, &totp::base32(&seed)))
    }

    /// A seed as it is shown, once more if a first code was wrong.
    pub(crate) fn seed(&self, user: &User, secret: &str) -> Seed {
        let (name, who) = (encoded(&self.name), encoded(user.email.as_deref().unwrap_or(&user.id)));
        let secret = encoded(secret);
        let uri =
            format!("otpauth://totp/{name}:{who}?secret={secret}&issuer={name}&algorithm=SHA1&digits=6&period=30");
        Seed { secret: Secret::new(secret), uri: Secret::new(uri) }
    }

    /// Makes new recovery codes in place of the old ones, for a user who shows a code.
    ///
    /// # Errors
    /// As [`SecondFactors::check`].
    pub(crate) async fn renew_recovery(
        &self,
        user: &User,
        code: &Secret<String>,
    ) -> Result<Vec<Secret<String>>, AuthnError> {
        self.check(user, code).await?;
        let (codes, hashes) = recovery_codes(user)?;
        self.factors.replace_recovery(&user.id, &hashes).await.map_err(unavailable)?;
        Ok(codes)
    }

    /// How many recovery codes are left; `None` without a second factor.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn left(&self, user: &User) -> Result<Option<u64>, AuthnError> {
        let factor = self.factors.factor(&user.id).await.map_err(unavailable)?;
        Ok(factor.filter(|factor| factor.confirmed).map(|factor| factor.recovery_left))
    }

    /// What finishes a pending sign-in in the chain, by a code.
    pub(crate) fn finishing(token: &Secret<String>, code: &Secret<String>) -> Credential {
        let value = Secret::new(format!("{} {}", token.expose(), code.expose()));
        Credential::Custom { header: HEADER.to_owned(), value }
    }

    /// What finishes the sign-in of a user who has just confirmed a first code.
    ///
    /// # Errors
    /// When the user is gone.
    pub(crate) async fn finishing_confirmed(&self, user: &User) -> Result<Credential, AuthnError> {
        // As it is now, since the confirmation was a change.
        let user = self.users.user(&user.id).await.map_err(unavailable)?.ok_or_else(|| wrong("the user is gone"))?;
        Ok(Self::finishing(&self.token(&user, true)?, &Secret::new(String::new())))
    }
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            all.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}
