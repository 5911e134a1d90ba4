//! Spans from the client's `traceparent` through the call and the decision, as OpenTelemetry exports them.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use policy_runtime::client::{Client, ConnectOptions, Headers};
use tests::raw::serve;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[tokio::test]
async fn a_call_continues_the_trace_of_its_caller() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();

    let gateway = serve(|builder| builder).await;
    let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port());
    let client = Client::connect(options.connect_headers(Headers::bearer("tok.bob@example.com.1"))).await.unwrap();
    let call = |trace: String| client.request("com.example.OrderService", "placeOrder").header("traceparent", trace);
    let order = serde_json::json!([{ "amount": 1 }]).to_string();
    call(format!("00-{TRACE}-{SPAN}-01")).json(order.clone()).send::<serde_json::Value>().await.unwrap_err();
    call("nonsense".to_owned()).json(order).send::<serde_json::Value>().await.unwrap_err();
    client.close().await;
    gateway.shutdown().await;

    let spans = exporter.get_finished_spans().unwrap();
    let calls: Vec<_> = spans.iter().filter(|span| span.name == "call").collect();
    assert_eq!(calls.len(), 2, "{spans:?}");
    let of_trace = calls.iter().find(|span| span.span_context.trace_id().to_string() == TRACE).unwrap();
    assert_eq!(of_trace.parent_span_id.to_string(), SPAN);
    let decided = spans.iter().find(|span| span.parent_span_id == of_trace.span_context.span_id()).unwrap();
    assert_eq!(decided.name, "decide");
    let attribute =
        |name: &str| decided.attributes.iter().find(|a| a.key.as_str() == name).map(|a| a.value.to_string());
    assert_eq!(attribute("decision").as_deref(), Some("deny"));
    assert!(attribute("action").unwrap().ends_with("OrderService.placeOrder"));
}
