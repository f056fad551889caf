//! Events and results to a NATS server: `PREFIX.STREAM.events` and `PREFIX.STREAM.results`.
//!
//! An event counts as delivered when the server has answered a ping that follows it, or, with `?jetstream`
//! in the address, when a JetStream stream has stored it. It has the header `Nats-Msg-Id`, by which
//! JetStream leaves out what comes twice.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, jetstream};
use tokio::sync::OnceCell;

use super::broker::{BrokerAddress, BrokerKind, BrokerOptions};
use super::live::LiveValues;
use super::message::{stream_of, with_id};
use super::receiver::{Outcome, Receiver};
use super::spool::Waiting;

const KIND: BrokerKind = BrokerKind {
    plain: ("nats", 4222),
    encrypted: ("tls", 4222),
    separator: '.',
};

/// The word that asks for the word of a JetStream stream.
const JETSTREAM: &str = "jetstream";

/// Longest time between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends events to a NATS server.
pub struct Nats {
    server: Arc<Server>,
    stored: bool,
}

struct Server {
    address: BrokerAddress,
    options: BrokerOptions,
    client: OnceCell<Client>,
}

/// Whether the address can be used.
///
/// # Errors
/// It cannot, and why.
pub fn check(options: &BrokerOptions) -> Result<BrokerAddress, String> {
    let address = BrokerAddress::parse(&options.address, &KIND)?;
    match address.query.as_deref() {
        None | Some(JETSTREAM) => Ok(address),
        Some(_) => Err("after ? only jetstream is known".to_owned()),
    }
}

impl Nats {
    /// Begins to send results, on the current runtime, for the rest of the process.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn start(options: &BrokerOptions, live: Arc<LiveValues>) -> Result<Self, String> {
        let address = check(options)?;
        let stored = address.query.is_some();
        let server = Arc::new(Server {
            address,
            options: options.clone(),
            client: OnceCell::new(),
        });
        tokio::spawn(send_live(Arc::clone(&server), live));
        Ok(Self { server, stored })
    }
}

impl Receiver for Nats {
    const WAITS: [Duration; 2] = [Duration::from_millis(500), LONGEST_PAUSE];

    async fn send(&mut self, event: &Waiting) -> Outcome {
        let subject = self
            .server
            .address
            .topic(&stream_of(event), "events", &KIND);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event.id.as_str());
        let payload = with_id(event).into();
        let sent = async {
            let client = self.server.connected().await?;
            if self.stored {
                let context = jetstream::new(client.clone());
                let stored = context
                    .publish_with_headers(subject, headers, payload)
                    .await;
                let stored = stored.map_err(|error| error.to_string())?.await;
                return stored.map(drop).map_err(|error| error.to_string());
            }
            let published = client.publish_with_headers(subject, headers, payload).await;
            published.map_err(|error| error.to_string())?;
            client.flush().await.map_err(|error| error.to_string())?;
            // Else it was only put into a buffer that may never be sent.
            is_connected(client)
        };
        match sent.await {
            Ok(()) => Outcome::Accepted,
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

impl Server {
    /// The client, if it has a connection now.
    async fn connected(&self) -> Result<&Client, String> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        is_connected(client).map(|()| client)
    }

    async fn connect(&self) -> Result<Client, String> {
        let mut options = ConnectOptions::new()
            .name("onelook")
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(10))
            .require_tls(self.address.is_encrypted)
            .reconnect_delay_callback(|attempts| {
                let pause = Duration::from_millis(250).saturating_mul(attempts.min(100) as u32);
                pause.min(LONGEST_PAUSE)
            });
        let password = self.options.password.as_ref();
        let password = password.map(|password| password.reveal().to_owned());
        options = match (&self.address.user, password) {
            (Some(user), password) => {
                options.user_and_password(user.clone(), password.unwrap_or_default())
            }
            (None, Some(token)) => options.token(token),
            (None, None) => options,
        };
        #[cfg(feature = "tls")]
        {
            let ca = self.options.ca.as_deref();
            options = options.tls_client_config(super::encrypted::client_config(ca)?);
        }
        let place = (self.address.host.as_str(), self.address.port);
        let host = match place.0.contains(':') {
            true => format!("[{}]", place.0),
            false => place.0.to_owned(),
        };
        let url = format!("nats://{host}:{}", place.1);
        options
            .connect(url)
            .await
            .map_err(|error| error.to_string())
    }
}

fn is_connected(client: &Client) -> Result<(), String> {
    match client.connection_state() {
        State::Connected => Ok(()),
        _ => Err("there is no connection".to_owned()),
    }
}

/// Sends results and counts; what cannot be sent now is left out.
async fn send_live(server: Arc<Server>, live: Arc<LiveValues>) {
    loop {
        live.changed.notified().await;
        for (stream, changes) in live.take() {
            let Ok(client) = server.connected().await else {
                continue;
            };
            let values = [("results", changes.results), ("counts", changes.totals)];
            for (what, value) in values {
                if let Some(value) = value {
                    let subject = server.address.topic(&stream, what, &KIND);
                    let _ = client.publish(subject, value.to_string().into()).await;
                }
            }
        }
    }
}
