//! A proxy on the way to a server, which cuts, delays and swallows as a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does to every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "only tests match it")]
pub enum Weather {
    /// Passes all on.
    Fine,
    /// Passes all on, after this time.
    Slow(Duration),
    /// Takes all and passes nothing on.
    Silent,
    /// Takes no connection, and has cut those that were.
    Down,
}

/// A proxy to a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    /// Counts the cuts.
    cut: Arc<watch::Sender<u32>>,
}

#[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "only tests call it")]
impl Proxy {
    /// Starts a proxy on a free port.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let weather = Arc::new(watch::Sender::new(Weather::Fine));
        let cut = Arc::new(watch::Sender::new(0));
        let (now, cuts) = (weather.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *now.borrow() == Weather::Down {
                    continue;
                }
                let Ok(server) = TcpStream::connect(to).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (now, mut cuts) = (now.clone(), cuts.subscribe());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(from_client, to_server, now.subscribe()) => {}
                        () = pass(from_server, to_client, now.subscribe()) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, weather, cut }
    }

    /// The port to connect to.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what is done to every connection.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
        if weather == Weather::Down {
            self.cut();
        }
    }

    /// Cuts every connection, without a word.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: watch::Receiver<Weather>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut bytes).await {
        let now = *weather.borrow();
        if let Weather::Slow(time) = now {
            tokio::time::sleep(time).await;
        }
        let passed = bytes.get(..count).unwrap_or_default();
        if count == 0 || (now != Weather::Silent && to.write_all(passed).await.is_err()) {
            return;
        }
    }
}
