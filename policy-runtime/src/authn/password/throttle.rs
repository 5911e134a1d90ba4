//! How often somebody may try.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy_core::Scope;
use policy_core::value::Millis;

/// Failures are forgotten after this long without another one.
const MEMORY_MS: i64 = 30 * 60 * 1_000;
const FIRST_WAIT_MS: i64 = 1_000;
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;

/// Counts failures by account and by address, and makes each wait longer and longer.
///
/// Accounts are counted by what was typed, so that an unknown one waits like a known one. After five failures of an
/// account, or fifty of an address, the wait doubles with each further one, from a second to a quarter of an hour.
///
/// ```
/// use policy_runtime::authn::password::Throttle;
/// let strict = Throttle::new(3, 20);
/// assert!(format!("{strict:?}").starts_with("Throttle"));
/// ```
#[derive(Debug)]
pub struct Throttle {
    account_failures: u32,
    address_failures: u32,
    capacity: usize,
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::authn) enum Key {
    Account(Option<Scope>, String),
    /// IPv4 as it is, IPv6 by its first 64 bits: whoever has one address there has them all.
    Address(u64, bool),
}

impl Key {
    pub(in crate::authn) fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(u64::from(u32::from(address)), false),
            IpAddr::V6(address) => Self::Address((u128::from(address) >> 64) as u64, true),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    last: Millis,
    blocked_until: Millis,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(5, 50)
    }
}

impl Throttle {
    /// Makes a throttle that lets so many failures of an account, and of an address, pass without a wait.
    pub fn new(account_failures: u32, address_failures: u32) -> Self {
        Self { account_failures, address_failures, capacity: 100_000, entries: Mutex::default() }
    }

    /// Makes a throttle that never makes anybody wait; only for a machine of one's own.
    ///
    /// ```
    /// use policy_runtime::authn::password::Throttle;
    /// let unlimited = Throttle::off();
    /// # drop(unlimited);
    /// ```
    pub fn off() -> Self {
        Self::new(u32::MAX, u32::MAX)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an attempt may be made now; else after how many seconds.
    pub(in crate::authn) fn check(&self, keys: &[Key], now: Millis) -> Result<(), u64> {
        let entries = self.entries();
        let wait = keys.iter().filter_map(|key| entries.get(key)).map(|entry| entry.blocked_until.0 - now.0).max();
        match wait {
            Some(wait) if wait > 0 => Err(u64::try_from(wait).unwrap_or(0).div_ceil(1_000)),
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(in crate::authn) fn failed(&self, keys: &[Key], now: Millis) {
        let mut entries = self.entries();
        for key in keys {
            if entries.len() >= self.capacity && !entries.contains_key(key) {
                make_room(&mut entries, now);
            }
            let entry = entries.entry(key.clone()).or_insert(Entry { failures: 0, last: now, blocked_until: now });
            if now.0 - entry.last.0 > MEMORY_MS {
                entry.failures = 0;
            }
            entry.failures = entry.failures.saturating_add(1);
            entry.last = now;
            let free = match key {
                Key::Account(..) => self.account_failures,
                Key::Address(..) => self.address_failures,
            };
            if let Some(beyond) = entry.failures.checked_sub(free) {
                let wait = FIRST_WAIT_MS.saturating_mul(1_i64 << beyond.min(20)).min(LONGEST_WAIT_MS);
                entry.blocked_until = Millis(now.0.saturating_add(wait));
            }
        }
    }

    /// Forgets an account's failures; an address keeps its own, or one good account would hide the guessing of others.
    pub(in crate::authn) fn succeeded(&self, keys: &[Key]) {
        let mut entries = self.entries();
        for key in keys.iter().filter(|key| matches!(key, Key::Account(..))) {
            entries.remove(key);
        }
    }
}

/// Drops what is forgotten; when all are fresh, the half that failed longest ago.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Millis) {
    let before = entries.len();
    entries.retain(|_, entry| now.0 - entry.last.0 <= MEMORY_MS || entry.blocked_until > now);
    if entries.len() == before {
        let mut times: Vec<i64> = entries.values().map(|entry| entry.last.0).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        entries.retain(|_, entry| entry.last.0 > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Key {
        Key::Account(None, name.into())
    }

    #[test]
    fn waits_double_and_end() {
        let throttle = Throttle::default();
        let key = [account("a")];
        let mut now = Millis(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            throttle.check(&key, now).unwrap();
            throttle.failed(&key, now);
            let wait = throttle.check(&key, now).err().unwrap_or(0);
            waits.push(wait);
            now.0 += i64::try_from(wait).unwrap() * 1_000;
        }
        assert_eq!(waits[..9], [0, 0, 0, 0, 1, 2, 4, 8, 16]);
        assert_eq!(waits[19], 900);
        assert!(throttle.check(&[account("b")], now).is_ok());
        now.0 += MEMORY_MS + 1;
        throttle.failed(&key, now);
        assert!(throttle.check(&key, now).is_ok(), "old failures are forgotten");
    }

    #[test]
    fn success_frees_the_account_and_not_the_address() {
        let throttle = Throttle::new(2, 3);
        let keys = [account("a"), Key::address("203.0.113.7".parse().unwrap())];
        for _ in 0..2 {
            throttle.failed(&keys, Millis(0));
        }
        assert_eq!(throttle.check(&keys, Millis(0)), Err(1));
        throttle.succeeded(&keys);
        assert_eq!(throttle.check(&keys, Millis(0)), Ok(()));
        throttle.failed(&[account("b"), keys[1].clone()], Millis(0));
        assert_eq!(throttle.check(&keys, Millis(0)), Err(1));
    }

    #[test]
    fn addresses_are_counted_by_who_has_them() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("::1"), key("0.0.0.0"));
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle { capacity: 100, ..Throttle::default() };
        for n in 0..10_000 {
            throttle.failed(&[account(&n.to_string())], Millis(n));
        }
        assert!(throttle.entries().len() <= 100);
    }
}
