//! A server of mail that keeps what it is given.
//!
//! In: SMTP on loopback, without TLS. Out: the letters, decoded as far as tests read them. Absent: anything of the project.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A letter as it arrived: who it was for by the envelope, and all its lines.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The addresses of the envelope.
    pub to: Vec<String>,
    /// Headers and text.
    pub text: String,
}

impl Arrived {
    /// The token of the link in it.
    pub fn token(&self) -> Option<String> {
        let rest = self.text.split_once("?token=")?.1;
        Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
    }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Sink {
    /// Its port on loopback.
    pub port: u16,
    letters: Arc<Mutex<Vec<Arrived>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at(0).await
    }

    /// Begins to listen at a port that was another's before.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn start_at(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let letters: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let kept = letters.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let _ = take(stream, &kept).await;
                });
            }
        });
        Ok(Self { port, letters, task })
    }

    /// What has arrived so far.
    pub fn letters(&self) -> Vec<Arrived> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The letter of a number, counted from 0, as soon as it has arrived.
    pub async fn letter(&self, number: usize) -> Option<Arrived> {
        for _ in 0..200 {
            if let Some(letter) = self.letters().get(number) {
                return Some(letter.clone());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        None
    }
}

async fn take(stream: TcpStream, kept: &Mutex<Vec<Arrived>>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 sink\r\n").await?;
    let mut letter = Arrived { to: Vec::new(), text: String::new() };
    while let Some(line) = lines.next_line().await? {
        let word = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer: &[u8] = match word.as_str() {
            "EHLO" | "HELO" => b"250 sink\r\n",
            "RCPT" => {
                letter.to.push(line);
                b"250 ok\r\n"
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    letter.text.push_str(&line);
                    letter.text.push_str("\r\n");
                }
                // Soft line breaks of quoted-printable, if lines are long.
                letter.text = letter.text.replace("=\r\n", "").replace("=3D", "=");
                let whole = std::mem::replace(&mut letter, Arrived { to: Vec::new(), text: String::new() });
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(whole);
                b"250 ok\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        writer.write_all(answer).await?;
    }
    Ok(())
}
