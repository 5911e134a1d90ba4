//! Spans from the client's `traceparent` through the call, the decision and the service, as OpenTelemetry exports them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "only public methods are published")]

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use policy_runtime::authn::Chain;
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::wire::{Command, Frame, header, message};
use policy_runtime::{Denied, Policy, abac_policy, publish};
use tests::raw::{Raw, serve_with};
use tests::users::Users;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing_subscriber::layer::SubscriberExt as _;

const SPAN: &str = "b7ad6b7169203331";
/// A trace for each way in.
const TRACES: [&str; 4] = [
    "0af7651916cd43dd8448eb211c80319c",
    "1af7651916cd43dd8448eb211c80319c",
    "2af7651916cd43dd8448eb211c80319c",
    "3af7651916cd43dd8448eb211c80319c",
];

struct Shop;

#[publish("com.example.traced")]
impl Shop {
    #[abac_policy(participant.roles contains "user")]
    pub async fn look(&self) -> Result<u32, Denied> {
        tokio::task::yield_now().await;
        Ok(tracing::info_span!("work").in_scope(|| 1))
    }

    #[abac_policy(participant.roles contains "nobody")]
    pub async fn buy(&self) -> Result<u32, Denied> {
        Ok(1)
    }
}

#[abac_policy(participant.roles contains "user")]
async fn page() -> Result<&'static str, Denied> {
    Ok(tracing::info_span!("work").in_scope(|| "page"))
}

/// Checks that a trace is the caller's span, one span of ours, and in it the decision and the work, if there was any.
fn check(spans: &[SpanData], trace: &str, ours: &str, decision: &str, works: bool) {
    let own: Vec<_> = spans.iter().filter(|span| span.span_context.trace_id().to_string() == trace).collect();
    let one = |name: &str| own.iter().find(|span| span.name == name).copied();
    let (call, decided) = (one(ours).unwrap(), one("decide").unwrap());
    assert_eq!(call.parent_span_id.to_string(), SPAN);
    assert_eq!(decided.parent_span_id, call.span_context.span_id());
    let attribute =
        |name: &str| decided.attributes.iter().find(|a| a.key.as_str() == name).map(|a| a.value.to_string());
    assert_eq!(attribute("decision").as_deref(), Some(decision));
    assert!(attribute("action").is_some());
    let work = one("work").map(|work| work.parent_span_id);
    assert_eq!(work, works.then_some(call.span_context.span_id()), "{own:?}");
}

#[tokio::test]
async fn a_call_continues_the_trace_of_its_caller() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();

    let policy = Policy::builder()
        .application("orders")
        .organization_rule("hosts", "permit Platform.service.host")
        .organization_rule("callers", "permit Platform.service.call")
        .build()
        .unwrap();
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let routes = Router::new().route("/page", get(page)).layer(AuthenticateLayer::new(policy.clone(), chain));
    let gateway = serve_with(policy, |builder| builder.service(Arc::new(Shop)).routes(routes)).await;
    let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port());
    let client = Client::connect(options.connect_headers(Headers::bearer("tok.bob@example.com.1"))).await.unwrap();
    let call = |method: &str, trace: String| {
        client.request("com.example.traced.Shop", method).header("traceparent", trace).json("[]").send::<u32>()
    };
    let [looked, bought, paged, hosted] = TRACES.map(|trace| format!("00-{trace}-{SPAN}-01"));
    assert_eq!(call("look", looked).await.unwrap(), 1);
    call("buy", bought).await.unwrap_err();
    assert_eq!(call("look", "nonsense".to_owned()).await.unwrap(), 1);

    let mut host = Raw::connect(&gateway, "tok.alice@example.com.1").await;
    host.send(&message::subscribe("h", "srv://a.Greeter").with(header::RECEIPT, "h")).await;
    host.frame().await.unwrap();
    let greeting = client.request("a.Greeter", "greet").header("traceparent", hosted).json("[]").send::<u32>();
    let (greeting, handed_on) = tokio::join!(greeting, async {
        let asked = host.frame().await.unwrap();
        let to = asked.header(header::REPLY_TO).unwrap().to_owned();
        host.send(&Frame::new(Command::Send).with(header::DESTINATION, to).with_body(header::JSON, "1")).await;
        asked.header(header::TRACEPARENT).unwrap().to_owned()
    });
    assert_eq!(greeting.unwrap(), 1);
    client.close().await;
    let mut socket = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let head = "host: x\r\nconnection: close\r\nauthorization: Bearer tok.bob@example.com.1";
    socket.write_all(format!("GET /page HTTP/1.1\r\n{head}\r\ntraceparent: {paged}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("page"), "{answer}");
    gateway.shutdown().await;

    let spans = exporter.get_finished_spans().unwrap();
    let calls: Vec<_> = spans.iter().filter(|span| span.name == "call").collect();
    assert_eq!(calls.len(), 4);
    let is_hosted = |span: &&&SpanData| span.span_context.trace_id().to_string() == TRACES[3];
    let own = calls.iter().find(is_hosted).unwrap().span_context.span_id();
    assert_eq!(handed_on, format!("00-{}-{own}-01", TRACES[3]), "the host goes on from the gateway's span");
    for (trace, (ours, decision)) in
        TRACES.iter().zip([("call", "allow"), ("call", "deny"), ("request", "allow"), ("call", "allow")])
    {
        let works = decision == "allow" && *trace != TRACES[3];
        check(&spans, trace, ours, decision, works);
    }
}
