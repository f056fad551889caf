//! A broker that acknowledges late, goes away, and comes back.

use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, PubAck};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::delivery::Password;

/// One connection, as the broker sees it.
struct Peer {
    stream: TcpStream,
    received: BytesMut,
}

impl Peer {
    /// Accepts the next connection, and its login.
    async fn accept(listener: &TcpListener) -> (Self, Connect) {
        let (stream, _) = listener.accept().await.unwrap();
        let received = BytesMut::new();
        let mut peer = Self { stream, received };
        let Packet::Connect(connect) = peer.next().await else {
            panic!("the first packet is no CONNECT");
        };
        let accepted = ConnAck::new(ConnectReturnCode::Success, false);
        peer.send(Packet::ConnAck(accepted)).await;
        (peer, connect)
    }

    async fn next(&mut self) -> Packet {
        loop {
            match Packet::read(&mut self.received, 1 << 20) {
                Ok(packet) => return packet,
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let read = self.stream.read_buf(&mut self.received).await.unwrap();
            assert!(read > 0, "the client has gone");
        }
    }

    /// The next message whose topic ends so.
    async fn message(&mut self, end: &str) -> Publish {
        loop {
            if let Packet::Publish(publish) = self.next().await
                && publish.topic.ends_with(end)
            {
                return publish;
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn acknowledge(&mut self, id: u16) {
        self.send(Packet::PubAck(PubAck::new(id))).await;
    }
}

async fn start() -> (TcpListener, Mqtt, Arc<LiveValues>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("mqtt://me@{}/site/a", listener.local_addr().unwrap());
    let options = MqttOptions {
        broker: BrokerOptions {
            address,
            password: Password::parse("secret"),
            ca: None,
        },
        discovery: Some("homeassistant".to_owned()),
    };
    let live = Arc::new(LiveValues::new(1e3));
    let mqtt = Mqtt::start(&options, Arc::clone(&live)).unwrap();
    (listener, mqtt, live)
}

#[tokio::test]
async fn an_event_is_delivered_when_its_own_acknowledgement_comes() {
    let (listener, mut mqtt, _) = start().await;
    let (mut peer, connect) = Peer::accept(&listener).await;
    let login = connect.login.unwrap();
    assert_eq!(
        (login.username.as_str(), login.password.as_str()),
        ("me", "secret")
    );
    let will = connect.last_will.unwrap();
    assert_eq!(
        (will.topic.as_str(), &will.message[..]),
        ("site/a/availability", &b"offline"[..])
    );
    let online = peer.message("/availability").await;
    assert!(online.retain && online.payload == "online");
    let sending = tokio::spawn(async move {
        let event = Waiting::test("msg_1", r#"{"stream":"gate"}"#);
        mqtt.send(&event).await
    });
    let event = peer.message("/events").await;
    assert_eq!(event.topic, "site/a/gate/events");
    assert_eq!(event.payload, r#"{"event_id":"msg_1","stream":"gate"}"#);
    assert_eq!(event.qos, QoS::AtLeastOnce);
    // Of another event.
    peer.acknowledge(event.pkid + 1).await;
    peer.send(Packet::PingResp).await;
    assert!(!sending.is_finished());
    peer.acknowledge(event.pkid).await;
    assert!(matches!(sending.await.unwrap(), Outcome::Accepted));
}

#[tokio::test]
async fn an_event_fails_with_its_connection_and_can_be_sent_on_the_next() {
    let (listener, mut mqtt, _) = start().await;
    let event = Waiting::test("msg_1", "{}");
    let (peer, _) = Peer::accept(&listener).await;
    let broken = tokio::spawn(async move {
        let mut peer = peer;
        peer.message("/events").await;
    });
    assert!(matches!(mqtt.send(&event).await, Outcome::Failed(_)));
    broken.await.unwrap();
    let again = tokio::spawn(async move { mqtt.send(&event).await });
    let (mut peer, _) = Peer::accept(&listener).await;
    let publish = peer.message("/default/events").await;
    peer.acknowledge(publish.pkid).await;
    assert!(matches!(again.await.unwrap(), Outcome::Accepted));
}

#[tokio::test]
async fn results_and_counts_are_sent_and_counts_again_on_a_new_connection() {
    let (listener, _mqtt, live) = start().await;
    let totals = json!({"lines": {"gate": {"name": "gate", "in": 1, "out": 0}}, "zones": {}});
    live.set_totals("gate", &totals);
    for _ in 0..2 {
        let (mut peer, _) = Peer::accept(&listener).await;
        let entity = peer.message("/config").await;
        assert!(
            entity.retain
                && entity
                    .topic
                    .starts_with("homeassistant/sensor/site_a_gate/")
        );
        let counts = peer.message("/counts").await;
        assert_eq!(counts.payload, totals.to_string());
        assert!(counts.retain);
        live.set_results("gate", &json!({"objects": []}));
        let results = peer.message("/results").await;
        assert_eq!((results.qos, results.retain), (QoS::AtMostOnce, false));
    }
}

#[tokio::test]
async fn what_is_not_mqtt_ends_the_connection_and_nothing_else() {
    let (listener, mut mqtt, _) = start().await;
    let (mut stream, _) = listener.accept().await.unwrap();
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let event = Waiting::test("msg_1", "{}");
    let sending = tokio::spawn(async move { mqtt.send(&event).await });
    let (mut peer, _) = Peer::accept(&listener).await;
    let publish = peer.message("/events").await;
    peer.acknowledge(publish.pkid).await;
    assert!(matches!(sending.await.unwrap(), Outcome::Accepted));
}

#[tokio::test]
async fn nothing_is_kept_of_a_stream_that_is_removed_also_when_the_connection_breaks() {
    let (listener, _mqtt, live) = start().await;
    let zone = json!({"lines": {}, "zones": {"yard": {"name": "yard", "inside": 0}}});
    let (mut peer, _) = Peer::accept(&listener).await;
    for stream in ["gate", "hall"] {
        live.set_totals(stream, &zone);
        peer.message(&format!("{stream}/counts")).await;
    }
    live.forget("gate");
    are_removed(&mut peer, "gate").await;
    // What was sent last may never have been read, and one is removed while there is no connection.
    drop(peer);
    live.forget("hall");
    let (mut peer, _) = Peer::accept(&listener).await;
    are_removed(&mut peer, "gate").await;
    are_removed(&mut peer, "hall").await;
}

/// Waits for the messages that take away what is kept of a stream.
async fn are_removed(peer: &mut Peer, stream: &str) {
    for end in ["/yard_occupancy/config", "/yard_inside/config"] {
        let gone = peer.message(&format!("_{stream}{end}")).await;
        assert!(gone.retain && gone.payload.is_empty(), "{gone:?}");
    }
    let counts = peer.message(&format!("{stream}/counts")).await;
    assert!(counts.retain && counts.payload.is_empty(), "{counts:?}");
}
