//! What a literal looks like, as the compiler itself can tell.
//!
//! In: the text of a literal. Out: whether it can be read as its kind. Absent: the value; it is read when the program starts.

/// Whether a text is a UUID, plain or hyphenated; usable at compile time.
///
/// ```
/// assert!(policy_core::shape::is_uuid("67e55044-10b1-426f-9247-bb680e5fe0c8"));
/// ```
pub const fn is_uuid(text: &str) -> bool {
    let (mut rest, mut digits, mut hyphens, mut at) = (text.as_bytes(), 0, 0, 0);
    while let [b, tail @ ..] = rest {
        if *b == b'-' && matches!(at, 8 | 13 | 18 | 23) {
            hyphens += 1;
        } else if b.is_ascii_hexdigit() {
            digits += 1;
        } else {
            return false;
        }
        at += 1;
        rest = tail;
    }
    digits == 32 && (hyphens == 0 || hyphens == 4)
}

/// Whether a text is an address or a range; usable at compile time.
///
/// ```
/// assert!(policy_core::shape::is_ip_range("10.0.0.0/8") && !policy_core::shape::is_ip_range("10.0.0.0/33"));
/// ```
pub const fn is_ip_range(text: &str) -> bool {
    let mut address = text.as_bytes();
    let (mut at, mut prefix) = (0, None);
    while let Some((head, [b, tail @ ..])) = address.split_at_checked(at) {
        if *b == b'/' {
            let Some(n) = small_number(tail) else { return false };
            prefix = Some(n);
            address = head;
            break;
        }
        at += 1;
    }
    if is_v4(address) {
        return match prefix {
            Some(n) => n <= 32,
            None => true,
        };
    }
    is_v6(address)
        && match prefix {
            Some(n) => n <= 128,
            None => true,
        }
}

const fn small_number(mut digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let mut n = 0;
    while let [d @ b'0'..=b'9', rest @ ..] = digits {
        n = n * 10 + (*d - b'0') as u32;
        digits = rest;
    }
    if digits.is_empty() { Some(n) } else { None }
}

const fn is_v4(mut text: &[u8]) -> bool {
    let mut parts = 0;
    loop {
        let mut len = 0;
        while let Some((_, [b'0'..=b'9', ..])) = text.split_at_checked(len) {
            len += 1;
        }
        let Some((digits, rest)) = text.split_at_checked(len) else { return false };
        match small_number(digits) {
            Some(n) if n <= 255 && !(len > 1 && matches!(digits, [b'0', ..])) => parts += 1,
            _ => return false,
        }
        match rest {
            [b'.', tail @ ..] if parts < 4 => text = tail,
            [] => return parts == 4,
            _ => return false,
        }
    }
}

const fn is_v6(mut text: &[u8]) -> bool {
    let (mut groups, mut gap) = (0, false);
    if let [b':', b':', rest @ ..] = text {
        gap = true;
        text = rest;
        if text.is_empty() {
            return true;
        }
    }
    loop {
        if is_v4(text) {
            groups += 2;
            return if gap { groups < 8 } else { groups == 8 };
        }
        let mut len = 0;
        while let Some((_, [b, ..])) = text.split_at_checked(len) {
            if !b.is_ascii_hexdigit() {
                break;
            }
            len += 1;
        }
        if len == 0 || len > 4 {
            return false;
        }
        groups += 1;
        let Some((_, rest)) = text.split_at_checked(len) else { return false };
        match rest {
            [] => return if gap { groups < 8 } else { groups == 8 },
            [b':', b':', tail @ ..] => {
                if gap {
                    return false;
                }
                gap = true;
                if tail.is_empty() {
                    return groups < 8;
                }
                text = tail;
            }
            [b':', tail @ ..] => text = tail,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compile_time_addresses_agree_with_run_time() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "256.0.0.1",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4/33",
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8::/32",
            "::ffff:10.0.0.1",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7",
            "1::2::3",
            ":1",
            "12345::",
            "g::",
            "",
            "/8",
            "10.0.0.1/",
            "::/129",
            "1:2:3:4:5:6:1.2.3.4",
        ] {
            assert_eq!(is_ip_range(text), text.parse::<crate::value::IpRange>().is_ok(), "{text}");
        }
    }

    #[test]
    fn compile_time_uuids() {
        assert!(is_uuid("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        assert!(is_uuid("67E5504410B1426F9247BB680E5FE0C8"));
        assert!(!is_uuid("67e55044-10b1-426f-9247-bb680e5fe0c"));
        assert!(!is_uuid("67e5504410-b1-426f-9247-bb680e5fe0c8"));
    }
}
