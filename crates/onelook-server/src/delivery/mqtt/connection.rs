//! One connection to an MQTT broker: packets out and in, each within bounds of time and size.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, LastWill, Packet, Publish};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::delivery::broker::{BrokerAddress, BrokerOptions};
use crate::delivery::encrypted::{ByteStream, encrypt};

/// After so much silence of ours the broker takes us for gone.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Longest time of connecting and of each write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing is subscribed to, so that the broker's packets are small.
const MAX_RECEIVED: usize = 4 << 10;

/// Larger than any event.
const MAX_SENT: usize = 2 << 20;

/// What the broker says when the connection ends without a word.
pub struct Will {
    /// Where it says so.
    pub topic: String,
    /// What it says, retained.
    pub message: &'static str,
}

/// A connection that the broker has accepted.
pub struct Connection {
    stream: Box<dyn ByteStream>,
    received: BytesMut,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub async fn open(
        address: &BrokerAddress,
        options: &BrokerOptions,
        will: Will,
    ) -> Result<Self, String> {
        let opened = timeout(PATIENCE, Self::open_slowly(address, options, will)).await;
        opened.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    async fn open_slowly(
        address: &BrokerAddress,
        options: &BrokerOptions,
        will: Will,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let stream: Box<dyn ByteStream> = match address.is_encrypted {
            true => encrypt(stream, &address.host, options.ca.as_deref()).await?,
            false => Box::new(stream),
        };
        let mut connection = Self {
            stream,
            received: BytesMut::new(),
        };
        // The standard library's hashers have random keys.
        let id = format!("onelook-{:016x}", RandomState::new().hash_one(()));
        let mut connect = Connect::new(id);
        connect.keep_alive = KEEP_ALIVE.as_secs() as u16;
        connect.last_will = Some(LastWill::new(
            will.topic,
            will.message,
            QoS::AtLeastOnce,
            true,
        ));
        if let Some(user) = &address.user {
            let password = options.password.as_ref();
            let password = password.map_or("", |password| password.reveal());
            connect.set_login(user, password);
        }
        connection.write(Packet::Connect(connect)).await?;
        match connection.next().await? {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => Ok(connection),
            Packet::ConnAck(answer) => Err(format!("it refuses: {:?}", answer.code)),
            _ => Err("it does not answer in MQTT".to_owned()),
        }
    }

    /// The broker's next packet. Nothing is lost when this is dropped before it comes.
    pub async fn next(&mut self) -> Result<Packet, String> {
        loop {
            match Packet::read(&mut self.received, MAX_RECEIVED) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(format!("it sends what is not MQTT: {error}")),
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => return Err("it has closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Sends a message.
    pub async fn publish(&mut self, publish: Publish) -> Result<(), String> {
        self.write(Packet::Publish(publish)).await
    }

    /// Asks for a sign of life.
    pub async fn ping(&mut self) -> Result<(), String> {
        self.write(Packet::PingReq).await
    }

    /// Ends the connection with a last message in place of the will.
    pub async fn disconnect(mut self, last: Publish) -> Result<(), String> {
        self.publish(last).await?;
        self.write(Packet::Disconnect).await
    }

    async fn write(&mut self, packet: Packet) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        let written = packet.write(&mut bytes, MAX_SENT);
        written.map_err(|error| error.to_string())?;
        match timeout(PATIENCE, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => self.stream.flush().await.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not read what is sent".to_owned()),
        }
    }
}
