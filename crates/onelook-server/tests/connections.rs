//! Connections in use are kept, idle ones are closed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use support::{TestServer, config, serve};

const PATIENCE: Duration = Duration::from_millis(400);

async fn server() -> TestServer {
    let mut config = config(&[]);
    config.limits.header_timeout = PATIENCE;
    serve(config).await
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = timeout(Duration::from_secs(5), stream.read(&mut answer));
    let length = read.await.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_use_outlives_the_header_timeout() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < 4 * PATIENCE {
        let answer = ask(
            &mut stream,
            "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        sleep(PATIENCE / 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_take_longer_than_the_header_timeout() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    sleep(3 * PATIENCE).await;
    let answer = ask(&mut stream, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_and_incomplete_headers_are_cut() {
    let server = server().await;
    for words in ["", "P", "PRI * HTTP/2", "GET /livez HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(10 * PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{words:?} is still open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn little_of_a_body_is_taken_before_anybody_asks_for_it() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The preface of HTTP/2, and settings that say nothing.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let (mut of_stream, mut of_connection) = (65_535, None);
    while of_connection.is_none() {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).await.unwrap();
        match head[3] {
            // SETTINGS, of which 4 is INITIAL_WINDOW_SIZE.
            4 => {
                for setting in body.as_chunks::<6>().0 {
                    if setting[..2] == [0, 4] {
                        of_stream = u32::from_be_bytes(setting[2..].try_into().unwrap());
                    }
                }
            }
            // WINDOW_UPDATE, by which the connection's 64 KiB become more.
            8 => of_connection = Some(65_535 + u32::from_be_bytes(body.try_into().unwrap())),
            _ => {}
        }
    }
    assert_eq!((of_stream, of_connection), (128 << 10, Some(512 << 10)));
}
