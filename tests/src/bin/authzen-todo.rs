//! The todo scenario over HTTP, for AuthZEN's interop tests by hand:
//!
//! ```text
//! cargo run -p tests --bin authzen-todo -- --port 8080
//! ```
//!
//! Callers are authenticated by an API key. Started without one it stands in for its caller: whoever reaches this machine's
//! loopback address and presents no credential asks with a key that was made for the demonstration. `--require-key` leaves that
//! out and prints the key. A wrong credential is refused either way.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says where it listens")]

use std::process::ExitCode;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use tests::todo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const KEY: HeaderName = HeaderName::from_static("x-api-key");

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\nusage: authzen-todo [--port PORT] [--require-key]");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut port, mut require_key) = (8080_u16, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--port" => port = args.next().ok_or("`--port` needs a number")?.parse().map_err(|_| "no such port")?,
            "--require-key" => require_key = true,
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (chain, key) = todo::caller(todo::scope(), "enforcer")?;
    let mut app = todo::decisions(&todo::policy()?, &url).believe_properties().build()?.router(chain);
    if require_key {
        println!("listening on {url} (x-api-key: {})", key.expose());
    } else {
        let key = HeaderValue::from_str(key.expose())?;
        app = app.layer(from_fn(move |mut request: Request, next: Next| {
            let headers = request.headers_mut();
            if !headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(KEY) {
                headers.insert(KEY, key.clone());
            }
            next.run(request)
        }));
        println!("listening on {url}");
    }
    let mut term = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(())
}
