//! Frigate's `zmq` detector as its plugin uses it, and clients that break the rules.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use onelook_server::{Server, ZmqEndpoint};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::colours::{CELL, GREEN, RED, colours};
use crate::support::{TestServer, serve};

/// Where a socket of this test is.
fn socket(name: &str) -> PathBuf {
    let name = format!("onelook-zmq-{name}-{}", std::process::id());
    std::env::temp_dir().join(name)
}

/// A server with a socket at this path.
async fn server(name: &str) -> (TestServer, PathBuf) {
    let path = socket(name);
    let mut config = colours();
    config.zmq = vec![ZmqEndpoint::Ipc(path.clone())];
    config.limits.body_bytes = 1 << 20;
    (serve(config).await, path)
}

fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

struct Client(UnixStream);

impl Client {
    async fn connect(path: &PathBuf) -> Self {
        let mut client = Self(UnixStream::connect(path).await.unwrap());
        client.0.write_all(&greeting()).await.unwrap();
        let mut theirs = [0; 64];
        client.0.read_exact(&mut theirs).await.unwrap();
        assert_eq!(theirs, greeting());
        let ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";
        client.send(4, ready).await;
        let (flags, body) = client.frame().await;
        assert_eq!(flags, 4);
        assert!(body.ends_with(b"\x03REP"));
        client
    }

    async fn send(&mut self, flags: u8, body: &[u8]) {
        let mut head = vec![flags | 2];
        head.extend((body.len() as u64).to_be_bytes());
        self.0.write_all(&[&head, body].concat()).await.unwrap();
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let flags = self.0.read_u8().await.unwrap();
        let length = match flags & 2 {
            0 => u64::from(self.0.read_u8().await.unwrap()),
            _ => self.0.read_u64().await.unwrap(),
        };
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.unwrap();
        (flags & !2, body)
    }

    /// Sends frames behind an empty one, as REQ does; the answer without it.
    async fn ask(&mut self, frames: &[&[u8]]) -> Vec<Vec<u8>> {
        self.send(1, b"").await;
        for (index, frame) in frames.iter().enumerate() {
            self.send(u8::from(index + 1 < frames.len()), frame).await;
        }
        let mut answer = Vec::new();
        loop {
            let (flags, frame) = self.frame().await;
            answer.push(frame);
            if flags & 1 == 0 {
                assert!(answer.remove(0).is_empty());
                return answer;
            }
        }
    }

    /// Rows of the answer that are not empty.
    async fn detect(&mut self, header: &Value, tensor: &[u8]) -> Vec<[f32; 6]> {
        let answer = self.ask(&[header.to_string().as_bytes(), tensor]).await;
        let head: Value = serde_json::from_slice(&answer[0]).unwrap();
        assert_eq!(head, json!({"shape": [20, 6], "dtype": "float32"}));
        let values = answer[1].chunks_exact(4);
        let values: Vec<f32> = values
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(values.len(), 120);
        let rows = values.chunks_exact(6).map(|row| row.try_into().unwrap());
        rows.filter(|row: &[f32; 6]| row[1] > 0.0).collect()
    }

    /// Whether the server ends the connection.
    async fn is_ended(&mut self) -> bool {
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(30), self.0.read_to_end(&mut rest)).await;
        ended.is_ok()
    }
}

/// Red at the top left, green at the bottom right.
fn tensor() -> Vec<u8> {
    let mut pixels = vec![0; 2 * CELL * 2 * CELL * 3];
    for (at, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % (2 * CELL) / CELL, at / (2 * CELL) / CELL);
        match (x, y) {
            (0, 0) => pixel.copy_from_slice(&RED),
            (1, 1) => pixel.copy_from_slice(&GREEN),
            _ => {}
        }
    }
    pixels
}

#[tokio::test]
async fn a_tensor_gets_rows_and_a_model_is_told() {
    let (_server, path) = server("rows").await;
    let mut client = Client::connect(&path).await;
    let asked = json!({"model_request": true, "model_name": "yolo.onnx"}).to_string();
    let answer = client.ask(&[asked.as_bytes()]).await;
    let said: Value = serde_json::from_slice(&answer[0]).unwrap();
    assert_eq!(said, json!({"model_available": true, "model_loaded": true}));
    let side = 2 * CELL;
    let header =
        json!({"shape": [1, side, side, 3], "dtype": "uint8", "model_type": "yologeneric"});
    let rows = client.detect(&header, &tensor()).await;
    let places: Vec<_> = rows
        .iter()
        .map(|row| (row[0], [row[2], row[3], row[4], row[5]]))
        .collect();
    assert_eq!(places.len(), 2, "{rows:?}");
    for (class, place) in places {
        let expected = match class as usize {
            0 => [0.0, 0.0, 0.5, 0.5],
            _ => [0.5, 0.5, 1.0, 1.0],
        };
        assert_eq!(place, expected, "{rows:?}");
    }
    // What is wrong gets no boxes, and the connection goes on.
    for (header, bytes) in [
        (json!({"shape": [1, side, side, 3]}), vec![0; 7]),
        (json!({"shape": "wide"}), tensor()),
        (json!([]), tensor()),
    ] {
        assert!(client.detect(&header, &bytes).await.is_empty());
    }
    assert_eq!(client.detect(&header, &tensor()).await.len(), 2);
    let answer = client.ask(&[br#"{"model_data": true}"#, b"model"]).await;
    let said: Value = serde_json::from_slice(&answer[0]).unwrap();
    assert_eq!(said, json!({"model_saved": false, "model_loaded": false}));
}

#[tokio::test]
async fn who_breaks_the_rules_is_cut_off_and_harms_nobody() {
    let (_server, path) = server("rules").await;
    // No ZeroMQ at all.
    let mut stranger = Client(UnixStream::connect(&path).await.unwrap());
    stranger.0.write_all(&[b'G'; 64]).await.unwrap();
    assert!(stranger.is_ended().await);
    // Security, or a socket that does not ask.
    let mut secured = Client(UnixStream::connect(&path).await.unwrap());
    let mut wanting = greeting();
    wanting[12..17].copy_from_slice(b"CURVE");
    secured.0.write_all(&wanting).await.unwrap();
    assert!(secured.is_ended().await);
    let mut subscriber = Client(UnixStream::connect(&path).await.unwrap());
    subscriber.0.write_all(&greeting()).await.unwrap();
    subscriber
        .send(4, b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB")
        .await;
    assert!(subscriber.is_ended().await);
    // An envelope, a number of frames, and a frame that are too large. None is waited for.
    let mut wide = Client::connect(&path).await;
    wide.0
        .write_all(&[3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        .await
        .unwrap();
    assert!(wide.is_ended().await);
    let mut many = Client::connect(&path).await;
    many.send(1, b"").await;
    many.send(1, b"{}").await;
    let frames: Vec<u8> = std::iter::repeat_n([1, 1, b'x'], 10).flatten().collect();
    many.0.write_all(&frames).await.unwrap();
    assert!(many.is_ended().await);
    // A header is small.
    let mut verbose = Client::connect(&path).await;
    verbose.send(1, b"").await;
    verbose
        .0
        .write_all(&[3, 0, 0, 0, 0, 0, 1, 0, 0])
        .await
        .unwrap();
    assert!(verbose.is_ended().await);
    let mut heavy = Client::connect(&path).await;
    heavy.send(1, b"").await;
    heavy.send(1, b"{}").await;
    let mut head = vec![2];
    head.extend((2_u64 << 20).to_be_bytes());
    heavy.0.write_all(&head).await.unwrap();
    // The server stops reading within the bound on bodies, so that writing may fail.
    let _ = heavy.0.write_all(&vec![0; 2 << 20]).await;
    assert!(heavy.is_ended().await);
    let mut client = Client::connect(&path).await;
    let side = 2 * CELL;
    let header = json!({"shape": [1, side, side, 3], "dtype": "uint8"});
    assert_eq!(client.detect(&header, &tensor()).await.len(), 2);
}

#[tokio::test]
async fn however_many_are_silent_the_next_one_is_answered() {
    let (_server, path) = server("silent").await;
    let mut silent = Vec::new();
    for _ in 0..70 {
        silent.push(Client(UnixStream::connect(&path).await.unwrap()));
    }
    let connecting = timeout(Duration::from_secs(30), Client::connect(&path));
    let mut client = connecting.await.expect("one of the silent makes way");
    let side = 2 * CELL;
    let header = json!({"shape": [1, side, side, 3], "dtype": "uint8"});
    assert_eq!(client.detect(&header, &tensor()).await.len(), 2);
    assert!(silent[0].is_ended().await, "it was silent for longest");
}

#[tokio::test]
async fn a_handshake_ends_though_its_client_goes_on_to_send() {
    let mut config = colours();
    let path = socket("handshake");
    config.zmq = vec![ZmqEndpoint::Ipc(path.clone())];
    config.limits.header_timeout = Duration::from_millis(200);
    let _server = serve(config).await;
    let mut silent = Client(UnixStream::connect(&path).await.unwrap());
    let mut talking = Client(UnixStream::connect(&path).await.unwrap());
    talking.0.write_all(&greeting()).await.unwrap();
    let signs_of_life = async {
        while talking
            .0
            .write_all(&[4, 5, 4, b'P', b'I', b'N', b'G'])
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = timeout(Duration::from_secs(60), signs_of_life).await;
    assert!(ended.is_ok(), "it may talk for ever");
    assert!(silent.is_ended().await);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let path = socket("file");
    std::fs::write(&path, "mine").unwrap();
    let mut config = colours();
    config.zmq = vec![ZmqEndpoint::Ipc(path.clone())];
    assert!(Server::bind(config, Instant::now()).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
}
