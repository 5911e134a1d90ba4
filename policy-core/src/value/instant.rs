//! Instants, to the millisecond.
//!
//! In: RFC 3339, also while a program is compiled. Out: [`Millis`]. Absent: the clock.

use std::fmt;
use std::str::FromStr;

/// Milliseconds since 1970-01-01T00:00:00Z; finer parts are floored.
///
/// ```
/// use policy_core::value::Millis;
/// let t: Millis = "2027-01-01T00:00:00Z".parse().unwrap();
/// assert_eq!(t.to_string(), "2027-01-01T00:00:00.000Z");
/// assert_eq!("2027-01-01T02:00:00+02:00".parse(), Ok(t));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

/// Why a text is not an instant.
///
/// ```
/// use policy_core::value::{InstantError, Millis};
/// assert_eq!("yesterday".parse::<Millis>(), Err(InstantError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instant is written `2027-01-01`, `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00.000+02:00`")]
pub struct InstantError;

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if month <= 2 { 1 } else { 0 }, month, doy - (153 * mp + 2) / 5 + 1)
}

/// Reads an RFC 3339 instant (or a date alone) at compile time as well as at run time; `None` if it is not one.
///
/// ```
/// use policy_core::value::{Millis, parse_instant};
/// const EPOCH: Option<Millis> = parse_instant("1970-01-01");
/// assert_eq!(EPOCH, Some(Millis(0)));
/// ```
pub const fn parse_instant(text: &str) -> Option<Millis> {
    const fn number(b: &[u8], from: usize, len: usize) -> Option<i64> {
        let (mut n, mut i) = (0i64, 0);
        while i < len {
            match b.split_at_checked(from + i) {
                Some((_, [d @ b'0'..=b'9', ..])) => n = n * 10 + (*d - b'0') as i64,
                _ => return None,
            }
            i += 1;
        }
        Some(n)
    }
    const fn is(b: &[u8], at: usize, c: u8) -> bool {
        matches!(b.split_at_checked(at), Some((_, [x, ..])) if *x == c)
    }
    const fn days_in(year: i64, month: i64) -> i64 {
        match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
    let b = text.as_bytes();
    let (Some(year), Some(month), Some(day)) = (number(b, 0, 4), number(b, 5, 2), number(b, 8, 2)) else { return None };
    if !is(b, 4, b'-') || !is(b, 7, b'-') || month < 1 || month > 12 || day < 1 || day > days_in(year, month) {
        return None;
    }
    let mut millis = days_from_civil(year, month, day) * 86_400_000;
    if b.len() == 10 {
        return Some(Millis(millis));
    }
    let (Some(h), Some(m), Some(s)) = (number(b, 11, 2), number(b, 14, 2), number(b, 17, 2)) else { return None };
    if !is(b, 10, b'T') || !is(b, 13, b':') || !is(b, 16, b':') || h > 23 || m > 59 || s > 59 {
        return None;
    }
    millis += (h * 3_600 + m * 60 + s) * 1_000;
    let mut at = 19;
    if is(b, at, b'.') {
        at += 1;
        let (mut scale, start) = (100, at);
        while let Some(d) = number(b, at, 1) {
            millis += d * scale;
            scale /= 10;
            at += 1;
        }
        if at == start || at - start > 3 {
            return None;
        }
    }
    if is(b, at, b'Z') && b.len() == at + 1 {
        return Some(Millis(millis));
    }
    let ahead = is(b, at, b'+');
    if !ahead && !is(b, at, b'-') {
        return None;
    }
    let colon = is(b, at + 3, b':');
    let (Some(oh), Some(om)) = (number(b, at + 1, 2), number(b, at + if colon { 4 } else { 3 }, 2)) else {
        return None;
    };
    if b.len() != at + if colon { 6 } else { 5 } || oh > 23 || om > 59 {
        return None;
    }
    let offset = (oh * 60 + om) * 60_000;
    Some(Millis(if ahead { millis - offset } else { millis + offset }))
}

impl FromStr for Millis {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        parse_instant(text).ok_or(InstantError)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}
