//! Password hashes: ours, and those that other systems left behind.
//!
//! In: a password and a stored text. Out: whether they fit, and whether the text should be replaced. A stored text is data
//! of others: its parameters are bounded before any work. Absent: users, and when a hash is checked.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::credential::MAX_PASSCODE;
use crate::secret::Secret;

/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;
const OUTPUT: usize = 32;

/// Bounds on the parameters of a stored argon2 hash.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// Memory times passes: a second of work at most.
const MAX_WORK_KIB: u64 = 512 * 1024;
/// The highest bcrypt cost that is verified: a second and a half.
const MAX_BCRYPT_COST: u32 = 14;

/// Why a stored hash cannot be checked; never holds any of it.
///
/// ```
/// use policy_runtime::authn::password::{HashError, StoredHash};
/// assert_eq!(StoredHash::parse("md5:0123").unwrap_err(), HashError::UnknownForm);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// It is of no known form.
    #[error("the stored hash is of no known form")]
    UnknownForm,
    /// Its parameters ask for more work than is allowed, or for less than is safe to compute.
    #[error("the stored hash has parameters that are not allowed")]
    Parameters,
    /// The password is longer than allowed.
    #[error("the password is longer than {MAX_PASSCODE} bytes")]
    TooLong,
    /// The hash could not be computed.
    #[error("the hash cannot be computed")]
    Failed,
}

/// What a check of a password found.
///
/// ```
/// use policy_runtime::authn::password::Match;
///
/// fn let_in(found: Match) -> bool {
///     matches!(found, Match::Yes | Match::YesButWeak)
/// }
/// assert!(!let_in(Match::No));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must decide about each")]
pub enum Match {
    /// The password is another one.
    No,
    /// The password fits.
    Yes,
    /// The password fits a hash that should be replaced by one of ours.
    YesButWeak,
}

/// A stored hash, its form known and its parameters within bounds.
///
/// ```
/// use policy_runtime::authn::password::{HashError, StoredHash};
/// // A hash that would cost an hour is refused before any work.
/// let absurd = "$argon2id$v=19$m=4294967,t=99,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
/// assert_eq!(StoredHash::parse(absurd).unwrap_err(), HashError::Parameters);
/// ```
pub struct StoredHash(Form);

enum Form {
    Argon2 {
        algorithm: Algorithm,
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Bcrypt(String),
    /// Better Auth: scrypt over NFKC, its salt used as hexadecimal text.
    Scrypt {
        salt: String,
        output: Vec<u8>,
    },
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Form::Argon2 { .. } => "StoredHash(argon2)",
            Form::Bcrypt(_) => "StoredHash(bcrypt)",
            Form::Scrypt { .. } => "StoredHash(scrypt)",
        })
    }
}

/// Hashes a password with argon2id; takes some 30 milliseconds, so keep it off the threads of async work.
///
/// ```
/// use policy_runtime::authn::password::{Match, StoredHash, hash};
/// use policy_runtime::secret::Secret;
/// let stored = hash(&Secret::new("correct horse battery".to_owned())).unwrap();
/// assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
/// let parsed = StoredHash::parse(stored.expose()).unwrap();
/// assert_eq!(parsed.check(&Secret::new("correct horse battery".to_owned())), Ok(Match::Yes));
/// ```
///
/// # Errors
/// When the password is longer than allowed.
pub fn hash(password: &Secret<String>) -> Result<Secret<String>, HashError> {
    let password = bounded(password)?;
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|_| HashError::Failed)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT)).map_err(|_| HashError::Failed)?;
    let output = argon2(Algorithm::Argon2id, &params, password, &salt, OUTPUT)?;
    Ok(Secret::new(format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    )))
}

/// Length is bounded before any work.
fn bounded(password: &Secret<String>) -> Result<&[u8], HashError> {
    let bytes = password.expose().as_bytes();
    if bytes.len() > MAX_PASSCODE { Err(HashError::TooLong) } else { Ok(bytes) }
}

fn argon2(
    algorithm: Algorithm,
    params: &Params,
    password: &[u8],
    salt: &[u8],
    length: usize,
) -> Result<Vec<u8>, HashError> {
    let mut output = vec![0; length];
    Argon2::new(algorithm, Version::V0x13, params.clone())
        .hash_password_into(password, salt, &mut output)
        .map_err(|_| HashError::Failed)?;
    Ok(output)
}

impl StoredHash {
    /// Reads a stored hash: argon2id or argon2i (PHC form), bcrypt (`$2a$`, `$2b$`, `$2y$`), or scrypt as Better Auth
    /// writes it.
    ///
    /// # Errors
    /// When the form is unknown or a parameter is out of bounds.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if text.len() > 512 {
            return Err(HashError::UnknownForm);
        }
        if let Some(rest) = text.strip_prefix("$argon2") {
            return parse_argon2(rest).map(Self);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return parse_bcrypt(text).map(Self);
        }
        parse_scrypt(text).map(Self)
    }

    /// Checks a password; takes as long as the stored parameters ask.
    ///
    /// # Errors
    /// When the password is longer than allowed or the hash cannot be computed.
    pub fn check(&self, password: &Secret<String>) -> Result<Match, HashError> {
        let bytes = bounded(password)?;
        match &self.0 {
            Form::Argon2 { algorithm, params, salt, output } => {
                let found = argon2(*algorithm, params, bytes, salt, output.len())?;
                let strong = *algorithm == Algorithm::Argon2id
                    && params.m_cost() >= MEMORY_KIB
                    && params.t_cost() >= PASSES
                    && salt.len() >= SALT
                    && output.len() >= OUTPUT;
                Ok(match (bool::from(found.ct_eq(output)), strong) {
                    (false, _) => Match::No,
                    (true, true) => Match::Yes,
                    (true, false) => Match::YesButWeak,
                })
            }
            Form::Bcrypt(stored) => {
                // bcrypt reads 72 bytes. What was cut when this hash was made proves nothing now, so a longer password
                // never fits; the work is done all the same.
                let fits = bcrypt::verify(bytes, stored).map_err(|_| HashError::Failed)?;
                Ok(if fits && bytes.len() <= 72 { Match::YesButWeak } else { Match::No })
            }
            Form::Scrypt { salt, output } => {
                let normal: String = password.expose().nfkc().collect();
                let params = scrypt::Params::new(14, 16, 1).map_err(|_| HashError::Failed)?;
                let mut found = vec![0; output.len()];
                scrypt::scrypt(normal.as_bytes(), salt.as_bytes(), &params, &mut found)
                    .map_err(|_| HashError::Failed)?;
                Ok(if bool::from(found.ct_eq(output)) { Match::YesButWeak } else { Match::No })
            }
        }
    }
}

fn parse_argon2(rest: &str) -> Result<Form, HashError> {
    let mut parts = rest.split('$');
    let mut next = || parts.next().ok_or(HashError::UnknownForm);
    let algorithm = match next()? {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        _ => return Err(HashError::UnknownForm),
    };
    if next()? != "v=19" {
        return Err(HashError::UnknownForm);
    }
    let (mut memory, mut passes, mut lanes) = (None, None, None);
    for parameter in next()?.split(',') {
        let (name, value) = parameter.split_once('=').ok_or(HashError::UnknownForm)?;
        let value: u32 = value.parse().map_err(|_| HashError::Parameters)?;
        let slot = match name {
            "m" => &mut memory,
            "t" => &mut passes,
            "p" => &mut lanes,
            _ => return Err(HashError::UnknownForm),
        };
        if slot.replace(value).is_some() {
            return Err(HashError::UnknownForm);
        }
    }
    let (Some(memory), Some(passes), Some(lanes)) = (memory, passes, lanes) else { return Err(HashError::UnknownForm) };
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| HashError::UnknownForm);
    let (salt, output) = (decode(next()?)?, decode(next()?)?);
    if parts.next().is_some() {
        return Err(HashError::UnknownForm);
    }
    let small = memory <= MAX_MEMORY_KIB && passes <= MAX_PASSES && lanes <= MAX_LANES;
    let sane = memory >= 1_024 && passes >= 1 && (8..=64).contains(&salt.len()) && (16..=64).contains(&output.len());
    if !small || !sane || u64::from(memory) * u64::from(passes) > MAX_WORK_KIB {
        return Err(HashError::Parameters);
    }
    let params = Params::new(memory, passes, lanes, Some(output.len())).map_err(|_| HashError::Parameters)?;
    Ok(Form::Argon2 { algorithm, params, salt, output })
}

fn parse_bcrypt(text: &str) -> Result<Form, HashError> {
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok()).ok_or(HashError::UnknownForm)?;
    let tail = text.get(6..).and_then(|rest| rest.strip_prefix('$')).ok_or(HashError::UnknownForm)?;
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    if tail.len() != 53 || !tail.bytes().all(alphabet) {
        return Err(HashError::UnknownForm);
    }
    if !(4..=MAX_BCRYPT_COST).contains(&cost) {
        return Err(HashError::Parameters);
    }
    Ok(Form::Bcrypt(text.to_owned()))
}

fn parse_scrypt(text: &str) -> Result<Form, HashError> {
    let (salt, output) = text.split_once(':').ok_or(HashError::UnknownForm)?;
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if salt.len() != 32 || output.len() != 128 || !hex(salt) || !hex(output) {
        return Err(HashError::UnknownForm);
    }
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let output: Option<Vec<u8>> = output.as_bytes().chunks(2).map(byte).collect();
    Ok(Form::Scrypt { salt: salt.to_owned(), output: output.ok_or(HashError::UnknownForm)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stored: &str, password: &str) -> Result<Match, HashError> {
        StoredHash::parse(stored)?.check(&Secret::new(password.to_owned()))
    }

    #[test]
    fn hashes_of_other_systems() {
        let bcrypt = bcrypt::hash_with_salt("pw", 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoB);
        assert_eq!(check(&bcrypt, "pw"), Ok(Match::YesButWeak));
        assert_eq!(check(&bcrypt, "pW"), Ok(Match::No));
        // Made by npm better-auth 1.7.5's hashPassword("correct horse ﬁsh"); NFKC makes the ligature two letters.
        let stored = "fb25a3f0e4867107cb99abf70474f079:3d375e54cb0203e4af914f044c1d52746e652edf72cce19b1ce9dbaf3f2f1a0d\
                      6bea5f6102a5c6d2055dcad62ce00d4d0e2a362ceaa5ada331e053a2578f8392";
        assert_eq!(check(stored, "correct horse ﬁsh"), Ok(Match::YesButWeak));
        assert_eq!(check(stored, "correct horse fish"), Ok(Match::YesButWeak));
        assert_eq!(check(stored, "correct horse dish"), Ok(Match::No));
    }

    #[test]
    fn nothing_is_cut_at_72_bytes() {
        let long = "a".repeat(72);
        let stored = bcrypt::hash_with_salt(format!("{long}XXXX"), 4, [7; 16]).unwrap();
        let stored = stored.format_for_version(bcrypt::Version::TwoB);
        assert_eq!(check(&stored, &format!("{long}YYYY")), Ok(Match::No), "bcrypt itself would say yes");
        assert_eq!(check(&stored, &long), Ok(Match::YesButWeak));
        let ours = hash(&Secret::new(format!("{long}XXXX"))).unwrap();
        assert_eq!(check(ours.expose(), &format!("{long}YYYY")), Ok(Match::No));
        assert_eq!(check(ours.expose(), &format!("{long}XXXX")), Ok(Match::Yes));
    }

    #[test]
    fn a_weak_argon2_hash_is_to_be_replaced() {
        let params = Params::new(1_024, 1, 1, Some(32)).unwrap();
        let output = argon2(Algorithm::Argon2id, &params, b"pw", &[1; 16], 32).unwrap();
        let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let stored = format!("$argon2id$v=19$m=1024,t=1,p=1${}${}", encode(&[1; 16]), encode(&output));
        assert_eq!(check(&stored, "pw"), Ok(Match::YesButWeak));
    }

    #[test]
    fn absurd_parameters_are_refused_before_any_work() {
        let salt = STANDARD_NO_PAD.encode([1; 16]);
        let out = STANDARD_NO_PAD.encode([2; 32]);
        let with = |params: &str| format!("$argon2id$v=19${params}${salt}${out}");
        let cases = [
            (with("m=4194304,t=1,p=1"), HashError::Parameters),
            (with("m=4294967295,t=4294967295,p=1"), HashError::Parameters),
            (with("m=99999999999,t=1,p=1"), HashError::Parameters),
            (with("m=131072,t=16,p=1"), HashError::Parameters),
            (with("m=8,t=1,p=1"), HashError::Parameters),
            (with("m=19456,t=0,p=1"), HashError::Parameters),
            (with("m=19456,t=2,p=0"), HashError::Parameters),
            (with("m=19456,t=2,p=255"), HashError::Parameters),
            (with("m=19456,m=8,t=2,p=1"), HashError::UnknownForm),
            (with("m=19456,t=2"), HashError::UnknownForm),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$"), HashError::Parameters),
            (format!("$argon2d$v=19$m=19456,t=2,p=1${salt}${out}"), HashError::UnknownForm),
            (format!("$argon2id$v=16$m=19456,t=2,p=1${salt}${out}"), HashError::UnknownForm),
            (format!("$2b$31${}", "a".repeat(53)), HashError::Parameters),
            (format!("$2b$99${}", "a".repeat(53)), HashError::Parameters),
            (format!("$2b$10${}", "a".repeat(52)), HashError::UnknownForm),
            (format!("$2x$10${}", "a".repeat(53)), HashError::UnknownForm),
            ("$2b$1é$".into(), HashError::UnknownForm),
            ("5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8".into(), HashError::UnknownForm),
            (":".into(), HashError::UnknownForm),
            ("x".repeat(10_000), HashError::UnknownForm),
            (String::new(), HashError::UnknownForm),
        ];
        for (stored, error) in cases {
            assert_eq!(StoredHash::parse(&stored).unwrap_err(), error, "{stored:.60}");
        }
        let long = Secret::new("x".repeat(MAX_PASSCODE + 1));
        assert_eq!(hash(&long).unwrap_err(), HashError::TooLong);
        let stored = StoredHash::parse(&with("m=19456,t=2,p=1")).unwrap();
        assert_eq!(stored.check(&long), Err(HashError::TooLong));
        assert_eq!(format!("{stored:?}"), "StoredHash(argon2)");
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(text in r"(\$argon2id?\$v=19\$m=[0-9]{1,6},t=[0-9]{1,3},p=[0-9]{1,3}\$[A-Za-z0-9+/]{0,30}\$[A-Za-z0-9+/]{0,60}|\$2[abxy]\$[0-9é]{2}\$[./A-Za-z0-9]{50,55}|[0-9a-f]{30,34}:[0-9a-f]{126,130}|.{0,40})") {
            let _ = StoredHash::parse(&text);
        }
    }
}
