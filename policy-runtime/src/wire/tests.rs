use proptest::prelude::*;

use super::*;

fn all(decoder: &mut Decoder) -> Result<Vec<Incoming>, WireError> {
    let mut out = Vec::new();
    while let Some(incoming) = decoder.next()? {
        out.push(incoming);
    }
    Ok(out)
}

/// One line per frame: `COMMAND name=value,.. body`; `~` for a heart-beat, the error's text for an error.
fn check(bytes: &[u8], expect: &str) {
    let whole = {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(bytes.to_vec().into());
        all(&mut decoder).map(|read| (read, decoder.is_within_frame()))
    };
    let in_pieces = {
        let mut decoder = Decoder::new(Limits::default());
        bytes
            .iter()
            .try_fold(Vec::new(), |mut out, byte| {
                decoder.feed(vec![*byte].into());
                out.extend(all(&mut decoder)?);
                Ok(out)
            })
            .map(|read| (read, decoder.is_within_frame()))
    };
    assert_eq!(whole, in_pieces, "the same, however the bytes are cut");
    let text = match whole {
        Err(error) => error.to_string(),
        Ok((read, within)) => {
            let mut lines: Vec<String> = read.iter().map(show).collect();
            if within {
                lines.push("..".into());
            }
            lines.join("\n")
        }
    };
    assert_eq!(text, expect);
}

fn show(incoming: &Incoming) -> String {
    match incoming {
        Incoming::HeartBeat => "~".into(),
        Incoming::Frame(frame) => {
            let headers: Vec<_> = frame.headers.iter().map(|(n, v)| format!("{n}={}", v.escape_debug())).collect();
            let body = String::from_utf8_lossy(&frame.body).escape_debug().to_string();
            format!("{} {} {body}", frame.command.as_str(), headers.join(",")).trim_end().to_owned()
        }
    }
}

#[test]
fn frames_as_clients_send_them() {
    check(b"", "");
    check(b"\n", "~");
    check(b"\r\n\n", "~\n~");
    check(b"CONNECT\naccept-version:1.2\n\n\0", "CONNECT accept-version=1.2");
    check(b"STOMP\r\naccept-version:1.2\r\n\r\n\0\r\n", "CONNECT accept-version=1.2\n~");
    check(b"CONNECT\nlogin:a\\cb:c\n\n\0", "CONNECT login=a\\\\cb:c");
    check(b"SEND\ndestination:srv\\c//a.B/c\n\n[1]\0", "SEND destination=srv://a.B/c [1]");
    check(b"SEND\na:\\\\c\\n\\r\\\\\n\n\0", "SEND a=\\\\c\\n\\r\\\\");
    check(b"SEND\na:1\na:2\n\n\0", "SEND a=1");
    check(b"SEND\ncontent-length:3\n\na\0b\0", "SEND  a\\0b");
    check(b"SEND\n\na\0SEND\n\nb\0", "SEND  a\nSEND  b");
    check(b"\nSEND\n\na\0\n\nSEND\n\nb\0", "~\nSEND  a\n~\n~\nSEND  b");
    check(b"SEND\na:b\n\nunfinished", "..");
    check("SEND\nü:ß\n\n\0".as_bytes(), "SEND ü=ß");
}

#[test]
fn what_is_no_frame() {
    check(b"GET / HTTP/1.1\n\n\0", "unknown command");
    check(b"send\n\n\0", "unknown command");
    check(b"\rSEND\n\n\0", "unknown command");
    check(b"\0", "the frame ends within its headers");
    check(b"SEND\na:b\0", "the frame ends within its headers");
    check(b"SEND\nab\n\n\0", "malformed header");
    check(b"SEND\n:b\n\n\0", "malformed header");
    check(b"SEND\na:b\rc\n\n\0", "malformed header");
    check(b"SEND\na:\\t\n\n\0", "unknown escape in a header");
    check(b"SEND\na:\\\n\n\0", "unknown escape in a header");
    check(b"SEND\na:\xff\n\n\0", "a header is not UTF-8");
    check(b"SEND\ncontent-length:-1\n\n\0", "malformed content-length");
    check(b"SEND\ncontent-length:+1\n\na\0", "malformed content-length");
    check(b"SEND\ncontent-length:\n\n\0", "malformed content-length");
    check(b"SEND\ncontent-length:99999999999999999999\n\n\0", "malformed content-length");
    check(b"SEND\ncontent-length:17000000\n\n", "more than 16777216 octets of body");
    check(b"SEND\ncontent-length:18446744073709551615\n\n", "more than 16777216 octets of body");
    check(b"SEND\ncontent-length:1\n\nab\0", "the body does not end where content-length says");
    let long = [b"SEND\na:".as_slice(), &[b'x'; 10_240], b"\n\n\0"].concat();
    check(&long, "more than 10240 octets in a header");
    check(&[b"SEND\n".as_slice(), &b"a:b\n".repeat(101), b"\n\0"].concat(), "more than 100 headers");
    check(&b"A".repeat(70_000), "more than 65536 octets of headers");
}

#[test]
fn a_body_without_length_is_limited_too() {
    let mut decoder = Decoder::new(Limits { body: 10, ..Limits::default() });
    decoder.feed(b"SEND\n\n0123456789".to_vec().into());
    assert_eq!(decoder.next(), Ok(None));
    decoder.feed(b"0".to_vec().into());
    assert_eq!(decoder.next(), Err(WireError::TooMuch { what: "octets of body", limit: 10 }));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let connect = |value: &str| Frame::new(Command::Connect).with("login", value).encode();
    assert!(connect("a:b\\").is_ok());
    assert!(connect("a\nadmin:true").is_err());
    assert!(Frame::new(Command::Send).with("a", "\0").encode().is_err());
    let sent = Frame::new(Command::Send).with("content-length", "99").with_body("text/plain", "ab").encode().unwrap();
    assert_eq!(sent, b"SEND\ncontent-type:text/plain\ncontent-length:2\n\nab\0");
}

#[test]
fn addresses() {
    let show = |text: &str| match Cri::parse(text) {
        Ok(cri) => {
            assert_eq!(cri.to_string(), text);
            let parts = [Some(cri.scheme()), cri.scope(), cri.zone(), Some(cri.name()), cri.path(), cri.version()];
            parts.map(|part| part.unwrap_or("-")).join(" ")
        }
        Err(error) => error.to_string(),
    };
    let check = |text: &str, expect: &str| assert_eq!(show(text), expect, "{text}");
    check("srv://com.example.OrderService/echo", "srv - - com.example.OrderService echo -");
    check("srv://node1@com.example.OrderService/echo#1.0.0", "srv node1 - com.example.OrderService echo 1.0.0");
    check("srv://app-api~org.x.Service", "srv - app-api org.x.Service - -");
    check("reply://1f:2e@kinoitc.js.EventBus/replyHandler", "reply 1f:2e - kinoitc.js.EventBus replyHandler -");
    check("srv://s@app.acme.orders~a.B/c/d", "srv s app.acme.orders a.B c/d -");
    check("com.example", "malformed address: it has no `://`");
    check("://a", "malformed address: its scheme is malformed");
    check("srv://", "malformed address: its name is malformed");
    check("srv:///x", "malformed address: its name is malformed");
    check("srv://@a", "malformed address: its scope is malformed");
    check("srv://a@b@c", "malformed address: it contains more than one `@`");
    check("srv://A~b", "malformed address: its zone is malformed");
    check("srv://-a~b", "malformed address: its zone is malformed");
    check("srv://a~b~c", "malformed address: its name is malformed");
    check("srv://a\nb", "malformed address: it contains a control character");
    assert_eq!(Cri::parse("reply://1f:2e@k/h").unwrap().scope_id(), Some("1f"));
    assert_eq!(Cri::parse("srv://s@z~a.B/c#1").unwrap().base(), "srv://s@z~a.B");
}

#[test]
fn heart_beats_are_agreed() {
    let server = HeartBeat::parse(Some("30000,30000")).unwrap();
    let client = HeartBeat::parse(Some("30000,120000")).unwrap();
    assert_eq!(server.sending_to(client).unwrap().as_secs(), 120);
    assert_eq!(server.hearing_from(client).unwrap().as_secs(), 30);
    assert_eq!(server.sending_to(HeartBeat::parse(None).unwrap()), None);
    for malformed in ["", "1", "a,b", "-1,0", "1,2,3", "99999999999,0"] {
        assert_eq!(HeartBeat::parse(Some(malformed)), None, "{malformed}");
    }
}

#[test]
fn the_sender_survives_the_npm_client() {
    let info: ParticipantInfo = serde_json::from_str(r#"{"id":"a\nb\r\\name\"c"}"#).unwrap();
    let json = sender_json(&info);
    assert!(!json.contains("\\n") && !json.contains("\\r") && !json.contains("\\\\"), "{json}");
    assert_eq!(serde_json::from_str::<ParticipantInfo>(&json).unwrap(), info);
}

fn frames() -> impl Strategy<Value = Frame> {
    let command = prop::sample::select(Command::ALL.map(|(command, _)| command).to_vec());
    let headers = prop::collection::vec(("[^\0]{1,8}", "[^\0]{0,12}"), 0..6);
    (command, headers, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(command, headers, body)| {
        let frame = headers.into_iter().fold(Frame::new(command), |frame, (name, value)| frame.with(name, value));
        Frame { body: body.into(), ..frame }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(frames in prop::collection::vec(frames(), 0..4), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut written = Vec::new();
        let mut bytes = Vec::new();
        for mut frame in frames {
            frame.headers.remove(header::CONTENT_LENGTH);
            if let Ok(encoded) = frame.encode() {
                bytes.extend(encoded);
                written.push(Incoming::Frame(frame));
            }
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut decoder = Decoder::new(Limits::default());
        let mut read = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            decoder.feed(bytes[from..cut].to_vec().into());
            read.extend(all(&mut decoder).unwrap());
            from = cut;
        }
        prop_assert_eq!(read, written);
        prop_assert!(!decoder.is_within_frame());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\0\n\r:\\ASEND0".to_vec())], 0..200), at in any::<prop::sample::Index>()) {
        let mut decoder = Decoder::new(Limits { headers: 3, header: 20, head: 60, body: 30 });
        let cut = at.index(bytes.len() + 1);
        decoder.feed(bytes[..cut].to_vec().into());
        let first = all(&mut decoder);
        decoder.feed(bytes[cut..].to_vec().into());
        let _ = first.and_then(|_| all(&mut decoder));
    }

    #[test]
    fn no_address_panics(text in "\\PC{0,40}", mixed in "[a-z:/@~#.\u{0}é]{0,30}") {
        for text in [text, mixed] {
            if let Ok(cri) = Cri::parse(&text) {
                prop_assert_eq!(cri.to_string(), text);
            }
        }
    }
}
