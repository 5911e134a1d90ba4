//! Ids that decisions are told and found by.
//!
//! In: the time. Out: `d-` and a version 7 UUID. Absent: what was decided.

use std::sync::Arc;

use crate::clock::{Clock as _, SystemClock};

/// A fresh id. Those of one time stand together where they are stored (RFC 9562, section 5.7).
pub(crate) fn fresh() -> Arc<str> {
    // What version 4 fixes in these octets, version 7 fixes anew.
    let [_, _, _, _, _, _, random @ ..] = uuid::Uuid::new_v4().into_bytes();
    let millis = u64::try_from(SystemClock.now().0).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let mut text = *b"d-00000000000000000000000000000000";
    let (_, digits) = text.split_at_mut(2);
    id.simple().encode_lower(digits);
    String::from_utf8_lossy(&text).into()
}
