//! Ids that nobody must guess.
//!
//! In: the system's random numbers. Out: texts. Absent: what they are the ids of.

use base64::Engine as _;

/// The system gave no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandom;

/// A random text of 128 bits in base64url.
pub(crate) fn random_id() -> Result<String, NoRandom> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
