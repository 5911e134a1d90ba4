//! The listener's certificate: read at the start, and again when its files have changed.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::ServerError;
use crate::config::TlsFiles;
use crate::gateway::Tls;

/// How often it is looked whether the files have changed.
const LOOKED: Duration = Duration::from_mins(1);

/// Files that a certificate was read from, and what was in them.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    seen: [u8; 32],
}

fn unusable(error: &dyn std::error::Error) -> ServerError {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    ServerError::Certificate(format!("{error}{cause}"))
}

/// Chain, key, and the hash of both.
type Contents = (Vec<u8>, Vec<u8>, [u8; 32]);

fn contents(files: &TlsFiles) -> Result<Contents, ServerError> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| ServerError::Certificate(format!("`{}`: {error}", path.display())))
    };
    let (chain, key) = (read(&files.chain)?, read(&files.key)?);
    let seen = Sha256::new().chain_update(&chain).chain_update([0]).chain_update(&key).finalize().into();
    Ok((chain, key, seen))
}

impl Certificate {
    pub(super) fn read(files: TlsFiles) -> Result<(Self, Tls), ServerError> {
        let (chain, key, seen) = contents(&files)?;
        let tls = Tls::from_pem(&chain, &key).map_err(|error| unusable(&error))?;
        Ok((Self { files, seen }, tls))
    }

    /// Shows the certificate of the files from now on, if they have changed; says whether they have. What is half written
    /// changes nothing, and is looked at again.
    fn look(&mut self, tls: &Tls) -> Result<bool, ServerError> {
        let (chain, key, seen) = contents(&self.files)?;
        if seen == self.seen {
            return Ok(false);
        }
        tls.replace(&chain, &key).map_err(|error| unusable(&error))?;
        self.seen = seen;
        Ok(true)
    }

    pub(super) async fn renew(mut self, tls: Tls) {
        loop {
            tokio::time::sleep(LOOKED).await;
            match self.look(&tls) {
                Ok(false) => {}
                Ok(true) => tracing::info!(target: "policy::server", "the certificate was renewed"),
                Err(error) => {
                    tracing::warn!(target: "policy::server", %error, "the certificate stays the one of before");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = include_str!("../client/tests/tls/localhost.pem");
    const KEY: &str = include_str!("../client/tests/tls/localhost.key");

    #[test]
    fn a_renewed_certificate_is_shown_and_half_a_one_is_not() {
        let folder = std::env::temp_dir().join(format!("policy-certificate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        let files: TlsFiles = TlsFiles { chain: chain.clone(), key: key.clone() };
        let missing = Certificate::read(files.clone()).unwrap_err().to_string();
        assert!(missing.contains("chain.pem"), "{missing}");
        std::fs::write(&chain, CHAIN).unwrap();
        std::fs::write(&key, "no key").unwrap();
        assert!(Certificate::read(files.clone()).is_err());
        std::fs::write(&key, KEY).unwrap();
        let (mut certificate, tls) = Certificate::read(files).unwrap();
        assert!(!certificate.look(&tls).unwrap(), "nothing has changed");
        std::fs::write(&key, "half of").unwrap();
        assert!(certificate.look(&tls).is_err());
        std::fs::write(&key, format!("{KEY}\n")).unwrap();
        assert!(certificate.look(&tls).unwrap(), "it is whole again");
        assert!(!certificate.look(&tls).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
