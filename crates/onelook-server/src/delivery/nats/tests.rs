//! A server that goes away with what it was sent, and comes back.

use std::collections::HashMap;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const INFO: &[u8] = b"INFO {\"server_id\":\"a\",\"server_name\":\"a\",\"version\":\"2.10.0\",\"proto\":1,\
    \"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,\"max_payload\":1048576,\"client_id\":1}\r\n";

/// One connection, as the server sees it.
struct Peer {
    stream: BufReader<TcpStream>,
    /// Numbers of subscriptions by subject.
    subscriptions: HashMap<String, String>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(INFO).await.unwrap();
        Self {
            stream: BufReader::new(stream),
            subscriptions: HashMap::new(),
        }
    }

    /// The next message: its subject, and its bytes with headers. None when the client has gone.
    async fn next(&mut self) -> Option<(String, Vec<u8>)> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                "PING" => self.stream.write_all(b"PONG\r\n").await.ok()?,
                "SUB" => {
                    let number = words.last().unwrap().to_string();
                    self.subscriptions.insert(words[1].to_owned(), number);
                }
                "PUB" | "HPUB" => {
                    let length: usize = words.last().unwrap().parse().unwrap();
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes).await.ok()?;
                    bytes.truncate(length);
                    return Some((words[1].to_owned(), bytes));
                }
                _ => {}
            }
        }
    }

    /// Hands a message to whoever has subscribed to it.
    async fn pass_on(&mut self, subject: &str, bytes: &[u8]) {
        let number = &self.subscriptions[subject];
        let head = format!("MSG {subject} {number} {}\r\n", bytes.len());
        let whole = [head.as_bytes(), bytes, b"\r\n"].concat();
        self.stream.write_all(&whole).await.unwrap();
    }
}

#[tokio::test]
async fn an_event_is_delivered_only_when_the_server_has_read_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = BrokerOptions {
        address: format!("nats://{}/site", listener.local_addr().unwrap()),
        password: None,
        ca: None,
    };
    let mut nats = Nats::start(&options, Arc::new(LiveValues::new(0.0))).unwrap();
    let event = Waiting::test("msg_1", r#"{"stream":"gate"}"#);
    let sending = tokio::spawn(async move {
        let outcome = nats.send(&event).await;
        (nats, event, outcome)
    });
    let mut peer = Peer::accept(&listener).await;
    let (subject, _) = peer.next().await.unwrap();
    assert_eq!(subject, "site.gate.events");
    assert!(!sending.is_finished());
    // The server dies with it.
    drop(peer);
    let (mut nats, event, outcome) = sending.await.unwrap();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let served = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        let mut events = Vec::new();
        while let Some((subject, bytes)) = peer.next().await {
            match subject.strip_prefix("site.") {
                Some(_) => events.push(bytes),
                None => peer.pass_on(&subject, &bytes).await,
            }
        }
        events
    });
    while !matches!(nats.send(&event).await, Outcome::Accepted) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(nats);
    served.abort();
    let _ = served.await;
}
