mod calls;
mod connecting;
mod fake;
mod loss;
mod secure;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{Client, ConnectOptions, Event, Headers};
use fake::Fake;

const SHORT: Duration = Duration::from_millis(200);

fn options(fake: &Fake) -> ConnectOptions {
    ConnectOptions::new("127.0.0.1")
        .port(fake.address.port())
        .retry(Duration::from_millis(10), Duration::from_millis(100))
        .call_timeout(Duration::from_secs(5))
}

async fn connected(fake: &Fake) -> Client {
    Client::connect(options(fake).connect_headers(Headers::bearer("ada.never"))).await.unwrap()
}

/// Waits for an event that satisfies `test`.
async fn wait_for(events: &mut BoxStream<'static, Event>, test: impl Fn(&Event) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.expect("the events ended");
            if test(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("the event did not come")
}

/// Waits until something holds.
async fn until(what: &str, test: impl Fn() -> bool) {
    for _ in 0..1000 {
        if test() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}
