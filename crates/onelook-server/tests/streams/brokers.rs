//! What an MQTT broker keeps of streams that come, change and go.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::BytesMut;
use onelook_server::{BrokerOptions, DeliveryOptions, MqttOptions};
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, Publish};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scripted::{add, server};
use crate::support::TestServer;

/// One connection, as the broker sees it.
struct Broker {
    stream: TcpStream,
    received: BytesMut,
}

impl Broker {
    /// The next message whose topic ends so.
    async fn message(&mut self, end: &str) -> Publish {
        loop {
            match Packet::read(&mut self.received, 1 << 20) {
                Ok(Packet::Connect(_)) => {
                    let accepted = ConnAck::new(ConnectReturnCode::Success, false);
                    self.send(Packet::ConnAck(accepted)).await;
                }
                Ok(Packet::PingReq) => self.send(Packet::PingResp).await,
                Ok(Packet::Publish(publish)) if publish.topic.ends_with(end) => return publish,
                Ok(_) => {}
                Err(Error::InsufficientBytes(_)) => {
                    let read = self.stream.read_buf(&mut self.received).await.unwrap();
                    assert!(read > 0, "the server has gone");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Whether the next message of this topic's end takes away what is kept.
    async fn is_taken_away(&mut self, end: &str) -> bool {
        let publish = self.message(end).await;
        publish.retain && publish.payload.is_empty()
    }
}

async fn ask(server: &TestServer, method: &str, body: Value) -> StatusCode {
    let body = Body::from(body.to_string());
    let request = server.request(method, "/v1/streams/a", body);
    server.send(request).await.status
}

#[tokio::test]
async fn a_broker_keeps_nothing_of_places_and_streams_that_are_removed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("mqtt://{}/site", listener.local_addr().unwrap());
    let spool = std::env::temp_dir().join(format!("onelook-brokers-{}", std::process::id()));
    let delivery = DeliveryOptions {
        mqtt: Some(MqttOptions {
            broker: BrokerOptions {
                address,
                password: None,
                ca: None,
            },
            discovery: Some("homeassistant".to_owned()),
        }),
        spool: spool.clone(),
        max_spool_bytes: 1_000_000,
        ..DeliveryOptions::default()
    };
    let (server, _) = server(|config| config.delivery = delivery).await;
    let (stream, _) = listener.accept().await.unwrap();
    let received = BytesMut::new();
    let mut broker = Broker { stream, received };
    broker.message("/availability").await;
    let zone = json!({"name": "yard", "corners": [[0, 0], [1, 0], [1, 1]]});
    add(&server, "a", json!({"zones": [zone]})).await;
    let entity = broker.message("_a/yard_inside/config").await;
    assert!(entity.retain && !entity.payload.is_empty(), "{entity:?}");
    broker.message("/a/counts").await;
    // The last place goes, and comes again.
    assert_eq!(
        ask(&server, "PATCH", json!({"zones": []})).await,
        StatusCode::OK
    );
    assert!(broker.is_taken_away("_a/yard_inside/config").await);
    let counts = broker.message("/a/counts").await;
    assert_eq!(counts.payload, r#"{"lines":{},"zones":{}}"#);
    assert_eq!(
        ask(&server, "PATCH", json!({"zones": [zone]})).await,
        StatusCode::OK
    );
    assert!(!broker.is_taken_away("_a/yard_inside/config").await);
    broker.message("/a/counts").await;
    assert_eq!(
        ask(&server, "DELETE", json!({})).await,
        StatusCode::NO_CONTENT
    );
    assert!(broker.is_taken_away("_a/yard_occupancy/config").await);
    assert!(broker.is_taken_away("_a/yard_inside/config").await);
    assert!(broker.is_taken_away("/a/counts").await);
    drop(server);
    std::fs::remove_dir_all(&spool).unwrap();
}
