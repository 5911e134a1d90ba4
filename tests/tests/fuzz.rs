//! A bounded run of what `fuzz/` does without end, by the same functions: random and mutated frames and handshakes, against
//! whatever reads them and against a gateway that others use at the same time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use policy_runtime::gateway::Gateway;
use policy_runtime::wire::{Cri, HeartBeat};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use tests::fuzzing;
use tests::raw::{Raw, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GOOD: [&str; 6] = [
    "CONNECT\naccept-version:1.2\nheart-beat:30000,120000\n\n\0",
    "SUBSCRIBE\nid:s\ndestination:reply\\c//me\\c1@kinoitc.js.EventBus/replyHandler\n\n\0",
    "SEND\ndestination:srv\\c//com.example.OrderService/echo\nreply-to:reply\\c//you\\c1@kinoitc.js.EventBus/replyHandler\n__correlation-id:c\ncontent-type:application/json\ncontent-length:3\n\n[1]\0",
    "SEND\ndestination:srv\\c//com.example.OrderService/ticks\ncontrol:cancel\n__correlation-id:c\n\n\0",
    "UNSUBSCRIBE\nid:s\nreceipt:r\n\n\0",
    "DISCONNECT\nreceipt:close-1\n\n\0",
];

/// A good frame in which something was changed, or bytes that never were one.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (0..GOOD.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6));
    let mutated = mutated.prop_map(|(which, changes)| {
        let mut bytes = GOOD.get(which).copied().unwrap_or_default().as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.splice(at..at, [0, byte])),
                2 => bytes.truncate(at),
                _ => {
                    if let Some(old) = bytes.get_mut(at) {
                        *old = byte;
                    }
                }
            }
        }
        bytes
    });
    let deep = (1..5_000_usize).prop_map(|depth| {
        let body = "[".repeat(depth);
        format!("SEND\ndestination:srv\\c//com.example.OrderService/echo\ncontent-length:{depth}\n\n{body}\0")
            .into_bytes()
    });
    let endless = (1..2_000_usize).prop_map(|count| format!("SEND\n{}", "a:b\n".repeat(count)).into_bytes());
    let lies = any::<u64>().prop_map(|n| format!("SEND\ndestination:x\ncontent-length:{n}\n\n[]\0").into_bytes());
    prop_oneof![6 => mutated, 2 => prop::collection::vec(any::<u8>(), 0..400), 1 => deep, 1 => endless, 1 => lies]
}

/// A header that is looked at, or any other.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "authorization",
        "Authorization",
        "clientId",
        "clientSecret",
        "login",
        "passcode",
        "organizationId",
        "applicationId",
        "cookie",
        "x-api-key",
        "origin",
        "host",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "sec-fetch-site",
        "authScopeType",
        "authScopeId",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => "[ -~]{0,20}"]
}

/// A value of one of the forms that are looked for, or any bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        "(Basic|bearer|Bearer|Digest)? ?[A-Za-z0-9+/=.,:_-]{0,60}",
        "(https?://)?[a-z0-9.\\[\\]:-]{0,30}(, ?[0-9a-f.:\"]{0,20}){0,3}",
        "(for|proto|by)=\"?[^ ]{0,20}\"?(;|,)?[ -~]{0,20}",
        "(__Host-policy-session|a)=[ -~]{0,40}(; [ -~]{0,10})?",
        "(SYSTEM|ORGANIZATION|APPLICATION|null|same-origin)",
    ];
    prop_oneof![4 => text.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(Config { cases: 3_000, ..Config::default() })]

    /// In whatever pieces bytes come, the same frames are read, and what was read can be written and read again.
    #[test]
    fn reading_is_total_and_does_not_depend_on_pieces(bytes in bytes(), cut in any::<prop::sample::Index>()) {
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        fuzzing::frames(first, second);
    }

    #[test]
    fn reading_a_handshake_is_total(pairs in prop::collection::vec((name(), value()), 0..8)) {
        let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        fuzzing::handshake(&pairs);
    }

    #[test]
    fn addresses_and_heart_beats_are_total(text in "\\PC{0,80}") {
        if let Ok(cri) = Cri::parse(&text) {
            prop_assert_eq!(Cri::parse(&cri.to_string()).unwrap().to_string(), cri.to_string());
        }
        let _ = HeartBeat::parse(Some(&text));
    }
}

fn samples(count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| bytes().new_tree(&mut runner).unwrap().current()).collect()
}

async fn still_works(other: &mut Raw, gateway: &Gateway) {
    assert_eq!(other.ask("echo", "[1]").await, "1");
    assert_eq!(Raw::connect(gateway, "tok.bob@example.com.1").await.ask("echo", "[2]").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_one_connection_sends_another_goes_on() {
    let gateway = serve(|builder| builder).await;
    let mut other = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    for (n, bytes) in samples(400).into_iter().enumerate() {
        let mut raw = Raw::dial(&gateway, &[("authorization", "Bearer tok.alice@example.com.1")]).await.unwrap();
        if n % 2 == 0 {
            raw.hello("CONNECT\naccept-version:1.2\n\n\0").await;
        }
        raw.bytes(bytes).await;
        let _ = raw.frame_within(Duration::from_millis(3)).await;
        if n % 100 == 0 {
            still_works(&mut other, &gateway).await;
        }
    }
    still_works(&mut other, &gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_handshake_is_others_go_on() {
    let gateway = serve(|builder| builder).await;
    let mut other = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    let upgrade = "GET /v1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nauthorization: Bearer tok.alice@example.com.1\r\n\r\n";
    for (n, bytes) in samples(400).into_iter().enumerate() {
        let mut socket = TcpStream::connect(gateway.local_addr()).await.unwrap();
        let mut sent = upgrade.as_bytes().to_vec();
        if n % 3 == 0 {
            // Bytes of no WebSocket after a good upgrade.
            sent.extend(bytes);
        } else {
            let at = (n * 7) % sent.len();
            sent.splice(at..at, bytes.into_iter().take(40));
        }
        let _ = socket.write_all(&sent).await;
        let mut answer = [0; 64];
        let _ = tokio::time::timeout(Duration::from_millis(3), socket.read(&mut answer)).await;
        if n % 100 == 0 {
            still_works(&mut other, &gateway).await;
        }
    }
    still_works(&mut other, &gateway).await;
}
