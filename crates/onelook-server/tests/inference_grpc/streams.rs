//! Streams that last: idle ones make way and end with the server, tokens are looked at again, and
//! messages are counted until they are answered.

use std::sync::Arc;
use std::time::Duration;

use onelook_server::admission::{AdmissionController, Permit};
use onelook_server::{Config, Event, MaxConnections, Tokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic::{Code, Request, Streaming};

use crate::generated::inference::*;
use crate::support::{
    TestServer, another_client, config, fixture, serve, start, test_tensor, tokens,
};
use crate::{client, eventually, raw};

/// Both ends of an open stream.
struct OpenStream {
    send: mpsc::UnboundedSender<ModelInferRequest>,
    answers: Streaming<ModelStreamInferResponse>,
}

impl OpenStream {
    /// A stream on a connection of its own.
    async fn open(server: &TestServer, token: Option<&str>) -> Self {
        let (send, mut messages) = mpsc::unbounded_channel();
        let messages = futures_util::stream::poll_fn(move |context| messages.poll_recv(context));
        let mut request = Request::new(messages);
        if let Some(token) = token {
            let token = token.parse().unwrap();
            request.metadata_mut().insert("x-api-key", token);
        }
        let mut client = client(server).await;
        let answers = client.model_stream_infer(request).await.unwrap();
        Self {
            send,
            answers: answers.into_inner(),
        }
    }

    fn ask(&self, size: usize) {
        self.send
            .send(raw(&test_tensor([1, 3, size, size])))
            .unwrap();
    }

    async fn answer(&mut self) -> Result<ModelStreamInferResponse, Code> {
        let answer = self.answers.message().await;
        answer.map(Option::unwrap).map_err(|status| status.code())
    }
}

fn tiny() -> Config {
    config(&[("tiny", fixture("tiny.model"))])
}

/// Takes all permits, so that requests wait until these are dropped.
async fn block(server: &TestServer) -> (Arc<AdmissionController>, Vec<Permit>) {
    let entry = server.app.models.find(None).unwrap();
    let admission = Arc::clone(&entry.loaded().unwrap().admission);
    let mut permits = Vec::new();
    let request = another_client();
    while let Ok(permit) =
        tokio::time::timeout(Duration::from_millis(20), admission.admit(&request)).await
    {
        permits.push(permit.unwrap());
    }
    (admission, permits)
}

#[tokio::test]
async fn a_stream_between_messages_makes_way_and_one_at_work_does_not() {
    let mut config = tiny();
    config.limits.connections = MaxConnections {
        all: 2,
        per_address: 2,
    };
    let server = serve(config).await;
    let (admission, permits) = block(&server).await;
    let mut busy = OpenStream::open(&server, None).await;
    busy.ask(8);
    eventually("its message waits", || admission.length() == 1).await;
    let mut idle = OpenStream::open(&server, None).await;
    // Again and again, until the server has seen that the second is idle.
    let answered = async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let asked = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let mut answer = String::new();
            if stream.write_all(asked).await.is_ok() {
                let _ = stream.read_to_string(&mut answer).await;
            }
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(30), answered).await;
    assert!(answered.is_ok(), "an idle stream keeps its place");
    assert!(idle.answer().await.is_err());
    drop(permits);
    assert!(busy.answer().await.is_ok());
}

#[tokio::test]
async fn a_stream_whose_client_is_gone_without_a_word_is_noticed() {
    let mut config = tiny();
    config.limits.ping_interval = Duration::from_millis(100);
    let server = serve(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    // SETTINGS, then HEADERS of stream 1; no ping is ever answered (RFC 9113, RFC 7541).
    stream
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let path = b"/inference.GRPCInferenceService/ModelStreamInfer";
    let mut head = vec![0x83, 0x86, 0x04, path.len() as u8];
    head.extend_from_slice(path);
    for (start, value) in [
        (&[0x01][..], "localhost"),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        head.extend_from_slice(start);
        head.push(value.len() as u8);
        head.extend_from_slice(value.as_bytes());
    }
    let mut frame = vec![0, 0, head.len() as u8, 1, 4, 0, 0, 0, 1];
    frame.extend(head);
    stream.write_all(&frame).await.unwrap();
    let in_flight = &server.app.metrics.requests;
    let labels = ["POST", "other", "200"];
    eventually("the stream is open", || {
        in_flight.with_label_values(&labels).get() == 1
    })
    .await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest));
    assert!(closed.await.is_ok(), "it is still waited for");
    let connections = &server.app.metrics.connections;
    eventually("the connection is gone", || connections.get() == 0).await;
}

#[tokio::test]
async fn a_token_that_was_taken_out_ends_a_stream_with_its_next_message() {
    let server = serve(Config {
        secrets: tokens("a first infer\nb second infer"),
        ..tiny()
    })
    .await;
    let mut kept = OpenStream::open(&server, Some("first")).await;
    let mut revoked = OpenStream::open(&server, Some("second")).await;
    for stream in [&mut kept, &mut revoked] {
        stream.ask(8);
        assert!(stream.answer().await.is_ok());
    }
    server
        .app
        .set_tokens(Tokens::parse("a first infer").unwrap());
    for stream in [&mut kept, &mut revoked] {
        stream.ask(8);
    }
    assert!(kept.answer().await.is_ok());
    assert_eq!(revoked.answer().await.err(), Some(Code::Unauthenticated));
    // One that may do less than it could when the stream was opened.
    server
        .app
        .set_tokens(Tokens::parse("a first read").unwrap());
    kept.ask(8);
    assert_eq!(kept.answer().await.err(), Some(Code::PermissionDenied));
}

#[tokio::test]
async fn a_message_of_a_stream_is_counted_until_it_is_answered() {
    let server = serve(tiny()).await;
    let all = server.app.memory.free();
    let mut stream = OpenStream::open(&server, None).await;
    eventually("nothing is counted", || server.app.memory.free() == all).await;
    for _ in 0..3 {
        let (_, permits) = block(&server).await;
        let sizes = [8, 24];
        let bytes = sizes.map(|size| {
            stream.ask(size);
            5 + prost::Message::encoded_len(&raw(&test_tensor([1, 3, size, size])))
        });
        let both = bytes.iter().sum::<usize>();
        eventually("both are counted", || {
            server.app.memory.free() == all - both
        })
        .await;
        drop(permits);
        for _ in sizes {
            assert_eq!(stream.answer().await.unwrap().error_message, "");
        }
        eventually("all is given back", || server.app.memory.free() == all).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_idle_streams() {
    let mut config = tiny();
    config.limits.min_progress.stall = Duration::from_millis(200);
    config.limits.shutdown_timeout = Duration::from_secs(600);
    let (server, mut events) = start(config).await;
    while !matches!(events.recv().await, Some(Event::Ready { .. })) {}
    let stream = OpenStream::open(&server, None).await;
    drop(server);
    let stopped = async {
        loop {
            if let Some(Event::Stopped { finished }) = events.recv().await {
                return finished;
            }
        }
    };
    let stopped = tokio::time::timeout(Duration::from_secs(30), stopped).await;
    assert_eq!(stopped, Ok(true));
    drop(stream);
}
