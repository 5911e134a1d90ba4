use super::*;
use crate::wire::{Decoder, Incoming, Limits as FrameLimits, ParticipantInfo};

const OWN: &str = "11111111-1111-4111-8111-111111111111";
const ALIAS: &str = "22222222-2222-4222-8222-222222222222";

fn connection(limits: &Limits) -> Connection {
    Connection::new("n".into(), OWN.into(), limits)
}

fn info() -> ConnectedInfo {
    let participant: ParticipantInfo = serde_json::from_str(r#"{"id":"u-1"}"#).unwrap();
    ConnectedInfo::new(OWN.into(), participant)
}

fn open_with(limits: &Limits, alias: Option<&str>) -> Connection {
    let mut connection = connection(limits);
    assert_eq!(said(&mut connection, "CONNECT|accept-version:1.2"), "authenticate");
    connection.accepted(info(), HeartBeat::default(), alias.map(str::to_owned));
    connection
}

fn open() -> Connection {
    open_with(&Limits::default(), None)
}

/// Reads frames written as `COMMAND|header:value|..|body:..`, with `{own}` for the connection's own reply id.
fn frame(text: &str) -> Frame {
    let text = text.replace("{own}", OWN).replace("{alias}", ALIAS);
    let (head, body) = text.split_once("|body:").unwrap_or((&text, ""));
    let mut lines = head.split('|');
    let command = lines.next().unwrap();
    let mut bytes = format!("{command}\n");
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = if command == "CONNECT" { value.to_owned() } else { value.replace(':', "\\c") };
        bytes.extend([name, ":", &value, "\n"]);
    }
    let mut decoder = Decoder::new(FrameLimits::default());
    decoder.feed(format!("{bytes}\n{body}\0").into());
    let Ok(Some(Incoming::Frame(frame))) = decoder.next() else { panic!("{bytes}") };
    frame
}

/// What becomes of a frame, one line per act.
fn said(connection: &mut Connection, text: &str) -> String {
    let mut acts = Vec::new();
    connection.receive(frame(text), &mut acts);
    show(acts)
}

fn came(connection: &mut Connection, call: u64, outcome: Outcome) -> String {
    let mut acts = Vec::new();
    connection.outcome(CallId(call), outcome, &mut acts);
    show(acts)
}

fn show(acts: Vec<Act>) -> String {
    let lines: Vec<String> = acts
        .into_iter()
        .map(|act| match act {
            Act::Send(frame) => {
                let headers: Vec<_> = frame
                    .headers
                    .iter()
                    .map(|(n, v)| format!("{n}:{v}").replace(OWN, "{own}").replace(ALIAS, "{alias}"))
                    .collect();
                let body = String::from_utf8(frame.body.to_vec()).unwrap();
                let body = if body.is_empty() { body } else { format!("|body:{body}") };
                format!("{}|{}{body}", frame.command.as_str(), headers.join("|"))
            }
            Act::Authenticate(_) => "authenticate".into(),
            Act::Call(call) => {
                let names: Vec<_> = call.headers.iter().map(|(name, _)| name.to_owned()).collect();
                format!(
                    "call {} {} {} [{}]",
                    call.id.0,
                    call.target,
                    String::from_utf8_lossy(&call.body),
                    names.join(" ")
                )
            }
            Act::Cancel(id) => format!("cancel {}", id.0),
            Act::Renew(id, _) => format!("renew {}", id.0),
            Act::Host { subscription, address } => format!("host {subscription} {address}"),
            Act::Unhost { subscription } => format!("unhost {subscription}"),
            Act::HostReply { request, .. } => format!("host reply {request}"),
            Act::Close(how) => format!("close {how:?}"),
        })
        .collect();
    lines.join("\n")
}

const SUBSCRIBE: &str = "SUBSCRIBE|id:sub-0|destination:reply://{own}:x@kinoitc.js.EventBus/replyHandler";
const CALL: &str = "SEND|destination:srv://com.example.OrderService/echo|reply-to:reply://{own}:x@kinoitc.js.EventBus/replyHandler|__correlation-id:c1|body:[1]";

#[test]
fn nothing_comes_before_connect() {
    for text in [SUBSCRIBE, CALL, "DISCONNECT|receipt:1"] {
        let expect = "ERROR|message:CONNECT must come first|content-type:text/plain|code:BAD_ARGUMENTS\nclose Refused";
        assert_eq!(said(&mut connection(&Limits::default()), text), expect);
    }
    let mut checking = connection(&Limits::default());
    said(&mut checking, "CONNECT|accept-version:1.2");
    assert!(said(&mut checking, CALL).starts_with("ERROR|message:CONNECT has not been answered yet"));
    assert_eq!(said(&mut checking, CALL), "", "nothing is heard after an ERROR");
}

#[test]
fn what_connect_must_say() {
    let check = |text: &str, expect: &str| {
        let got = said(&mut connection(&Limits::default()), text);
        assert!(got.contains(expect), "{text}: {got}");
    };
    check("CONNECT|accept-version:1.2,1.1,1.0|heart-beat:30000,120000|session-keep-alive:ACTIVITY", "authenticate");
    check("CONNECT|accept-version:1.0", "ERROR|message:the version spoken here is 1.2");
    check("CONNECT|heart-beat:0,0", "ERROR|message:the version spoken here is 1.2");
    check("CONNECT|accept-version:1.2|heart-beat:x", "ERROR|message:malformed heart-beat");
    check("CONNECT|accept-version:1.2|session-keep-alive:FOREVER", "ERROR|message:unknown session-keep-alive");
    check("CONNECT|accept-version:1.2|session:a|disable-sticky-session:true", "ERROR|message:session and");
    check("CONNECT|accept-version:1.2|login:a|passcode:b", "authenticate");
}

#[test]
fn a_call_and_its_reply() {
    let mut open = open();
    assert_eq!(said(&mut open, SUBSCRIBE), "");
    assert_eq!(
        said(&mut open, &CALL.replace("|body", "|sender:{\"id\"}|__trace:t|body")),
        "call 0 srv://com.example.OrderService/echo [1] [destination reply-to __correlation-id __trace]"
    );
    assert_eq!(
        came(&mut open, 0, Outcome::Value("1".into())),
        "MESSAGE|subscription:sub-0|message-id:1|destination:reply://{own}:x@kinoitc.js.EventBus/replyHandler|__correlation-id:c1|__trace:t|content-type:application/json|body:1"
    );
    assert_eq!(came(&mut open, 0, Outcome::Value("1".into())), "", "a call is answered once");
    said(&mut open, &CALL.replace("|body", "|x-request-id:r-1|body"));
    let error = CallError::new(Code::AccessDenied, "no: \nreally").with_decision("d-1");
    assert_eq!(
        came(&mut open, 1, Outcome::Failed(error)),
        "MESSAGE|subscription:sub-0|message-id:2|destination:reply://{own}:x@kinoitc.js.EventBus/replyHandler|__correlation-id:c1|x-request-id:r-1|error:no: \nreally|content-type:application/json|body:{\"exceptionName\":\"AuthorizationException\",\"exceptionClass\":\"AuthorizationException\",\"errorMessage\":\"no: \\nreally\",\"code\":\"ACCESS_DENIED\",\"decision\":\"d-1\",\"requestId\":\"r-1\"}"
    );
    said(&mut open, CALL);
    assert!(
        came(&mut open, 2, Outcome::Value(Bytes::new())).ends_with("|body:null"),
        "nothing is null, not an empty body"
    );
}

#[test]
fn every_failure_has_a_request_id() {
    let limits = Limits { calls: 3, ..Limits::default() };
    let mut open = open_with(&limits, None);
    said(&mut open, SUBSCRIBE);
    let with = |id: &str| CALL.replace("|body", &format!("|x-request-id:{id}|body"));
    let id_of = |reply: &str| {
        let header = reply.split("|x-request-id:").nth(1).map(|rest| rest.split('|').next().unwrap().to_owned());
        let in_body = header.as_ref().is_some_and(|id| reply.contains(&format!("\"requestId\":\"{id}\"")));
        (header.unwrap_or_default(), in_body)
    };
    let failed = || Outcome::Failed(CallError::new(Code::Internal, "x"));
    for (sent, expect) in [("r-1", "r-1"), ("a b", "n-1"), ("", "n-2")] {
        said(&mut open, &with(sent));
        let call = open.next_call - 1;
        assert_eq!(id_of(&came(&mut open, call, failed())), (expect.into(), true), "{sent}");
    }
    said(&mut open, &with("r-2"));
    assert!(
        came(&mut open, 3, Outcome::Value("1".into())).contains("|x-request-id:r-2|"),
        "an id that was sent comes back"
    );
    for _ in 0..3 {
        said(&mut open, CALL);
    }
    assert_eq!(id_of(&said(&mut open, &with("too-many"))), ("too-many".into(), true));
    assert_eq!(id_of(&said(&mut open, CALL)), ("n-8".into(), true));
    open.drain();
    assert_eq!(id_of(&said(&mut open, &with("draining"))), ("draining".into(), true));
    let nowhere = CALL.replace("srv://com.example.OrderService/echo", "stream://a");
    assert_eq!(id_of(&said(&mut open, &nowhere)), ("n-10".into(), true));
}

#[test]
fn a_stream_and_its_end() {
    let mut open = open();
    said(&mut open, SUBSCRIBE);
    said(&mut open, CALL);
    let item = came(&mut open, 0, Outcome::Item("1".into()));
    assert!(item.contains("|__origin-cri:srv://com.example.OrderService/echo|stream:true|"), "{item}");
    assert!(!item.contains("|control:"));
    let end = came(&mut open, 0, Outcome::Complete);
    assert!(end.contains("|__correlation-id:c1|control:complete") && !end.contains("content-type"), "{end}");
    assert_eq!(came(&mut open, 0, Outcome::Item("2".into())), "");
}

#[test]
fn a_cancelled_call_is_never_answered() {
    let mut open = open();
    said(&mut open, SUBSCRIBE);
    said(&mut open, CALL);
    let cancel = "SEND|destination:srv://com.example.OrderService/echo|control:cancel|__correlation-id:c1";
    assert_eq!(said(&mut open, cancel), "cancel 0");
    assert_eq!(said(&mut open, cancel), "", "a stale cancel is harmless");
    assert_eq!(came(&mut open, 0, Outcome::Item("1".into())), "");
    assert_eq!(said(&mut open, "SEND|destination:srv://a.B/c|control:cancel"), "");
    assert_eq!(open.calls_in_flight(), 0);
}

#[test]
fn calls_with_the_reply_address_of_another_connection_are_dropped() {
    for reply_to in [
        "reply://33333333-3333-4333-8333-333333333333:x@kinoitc.js.EventBus/replyHandler",
        "srv://{own}:x@kinoitc.js.EventBus/replyHandler",
        "reply://x{own}@k/h",
        "nonsense",
        "",
    ] {
        let text = format!("SEND|destination:srv://a.B/c|reply-to:{reply_to}|__correlation-id:c|body:[]");
        assert_eq!(said(&mut open(), &text), "", "{reply_to}");
    }
    let unanswered = said(&mut open(), "SEND|destination:srv://a.B/c|body:[]");
    assert_eq!(
        unanswered, "call 0 srv://a.B/c [] [destination]",
        "without a reply address it is executed and not answered"
    );
}

#[test]
fn foreign_subscriptions_get_nothing() {
    let mut open = open();
    assert_eq!(said(&mut open, "SUBSCRIBE|id:a|destination:reply://other:x@kinoitc.js.EventBus/replyHandler"), "");
    assert_eq!(said(&mut open, "SUBSCRIBE|id:b|destination:srv://other:x@kinoitc.js.EventBus/replyHandler"), "");
    assert_eq!(said(&mut open, "SUBSCRIBE|id:c|destination:stream://x"), "");
    assert_eq!(said(&mut open, "SUBSCRIBE|id:d|destination:x"), "");
    assert_eq!(said(&mut open, "SUBSCRIBE|id:e|destination:srv://com.example.Mine"), "host e srv://com.example.Mine");
    assert_eq!(said(&mut open, "UNSUBSCRIBE|id:e"), "unhost e");
    let forged = "SEND|destination:reply://other:x@kinoitc.js.EventBus/replyHandler|body:1";
    assert_eq!(said(&mut open, forged), "host reply other", "which is dropped unless it was given that request");
    said(&mut open, CALL);
    assert_eq!(came(&mut open, 0, Outcome::Value("1".into())), "", "no subscription, no reply");
}

#[test]
fn subscriptions_end_and_are_replaced() {
    let mut open = open();
    said(&mut open, SUBSCRIBE);
    said(&mut open, &SUBSCRIBE.replace("sub-0", "sub-1"));
    assert_eq!(said(&mut open, "UNSUBSCRIBE|id:sub-0"), "");
    said(&mut open, CALL);
    assert!(came(&mut open, 0, Outcome::Value("1".into())).contains("|subscription:sub-1|"));
    said(&mut open, "UNSUBSCRIBE|id:sub-1|receipt:r");
    said(&mut open, CALL);
    assert_eq!(came(&mut open, 1, Outcome::Value("1".into())), "");
    assert!(said(&mut open, "UNSUBSCRIBE|receipt:r").starts_with("ERROR|message:UNSUBSCRIBE needs id"));
}

#[test]
fn a_legacy_client_goes_by_its_alias() {
    let limits = Limits::default();
    let mut waiting = connection(&limits);
    said(&mut waiting, "CONNECT|accept-version:1.2|reply-to-id:{alias}");
    let connected = show(vec![waiting.accepted(info(), HeartBeat::default(), Some(ALIAS.into()))]);
    assert!(connected.contains("\"replyToId\":\"{alias}\"") && !connected.contains("{own}"), "{connected}");
    let mut open = open_with(&limits, Some(ALIAS));
    let subscribe = "SUBSCRIBE|id:s|destination:srv://{alias}:x@kinoitc.js.EventBus/replyHandler";
    assert_eq!(said(&mut open, subscribe), "");
    let call = CALL.replace("reply://{own}", "srv://{alias}");
    assert!(said(&mut open, &call).starts_with("call 0 "));
    assert!(came(&mut open, 0, Outcome::Value("1".into())).contains("|destination:srv://{alias}:x@"));
    assert_eq!(said(&mut open, &CALL.replace("{own}", "{alias}").replace("kinoitc.js.EventBus", "a.B")), "");
}

#[test]
fn limits_cost_the_connection_its_own_only() {
    let limits = Limits { calls: 1, subscriptions: 2, ..Limits::default() };
    let mut open = open_with(&limits, None);
    said(&mut open, SUBSCRIBE);
    said(&mut open, CALL);
    assert!(said(&mut open, &CALL.replace("c1", "c2")).contains("\"code\":\"RATE_LIMITED\""));
    came(&mut open, 0, Outcome::Complete);
    assert!(said(&mut open, CALL).starts_with("call 2"));
    said(&mut open, "SUBSCRIBE|id:b|destination:x");
    assert!(said(&mut open, "SUBSCRIBE|id:c|destination:x").starts_with("ERROR|message:too many subscriptions"));
}

#[test]
fn destinations_that_are_no_services() {
    let mut open = open();
    said(&mut open, SUBSCRIBE);
    for destination in ["nonsense", "stream://a", "srv://"] {
        let got = said(&mut open, &CALL.replace("srv://com.example.OrderService/echo", destination));
        assert!(got.contains("\"code\":\"UNKNOWN_SERVICE\""), "{destination}: {got}");
    }
    assert!(said(&mut open, "SEND|body:1").starts_with("ERROR|message:SEND needs destination"));
}

#[test]
fn frames_that_a_client_does_not_send() {
    for (text, expect) in [
        ("BEGIN|transaction:1", "transactions are not spoken here"),
        ("MESSAGE|destination:x", "a frame that only a server sends"),
        ("CONNECT|accept-version:1.2", "the connection is open already"),
        ("SUBSCRIBE|id:1", "SUBSCRIBE needs id and destination"),
    ] {
        assert!(said(&mut open(), text).starts_with(&format!("ERROR|message:{expect}")), "{text}");
    }
    assert_eq!(said(&mut open(), "ACK|id:1|receipt:r"), "RECEIPT|receipt-id:r");
}

#[test]
fn good_byes() {
    assert_eq!(said(&mut open(), "DISCONNECT|receipt:close-1"), "RECEIPT|receipt-id:close-1\nclose Left");
    assert_eq!(said(&mut open(), "DISCONNECT"), "close Left");
    let mut draining = open();
    said(&mut draining, SUBSCRIBE);
    draining.drain();
    assert!(said(&mut draining, CALL).contains("\"code\":\"CONNECTION_LOST\""));
}

#[test]
fn renewal_is_a_call_of_its_own() {
    let mut open = open();
    said(&mut open, SUBSCRIBE);
    let renew = CALL.replace("srv://com.example.OrderService/echo", message::RENEW);
    assert_eq!(said(&mut open, &renew), "renew 0");
    assert!(came(&mut open, 0, Outcome::Value("{\"expiresInMs\":null}".into())).ends_with("{\"expiresInMs\":null}"));
}
