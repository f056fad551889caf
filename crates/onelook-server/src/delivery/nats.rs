//! Events and results to a NATS server: `PREFIX.STREAM.events` and `PREFIX.STREAM.results`.
//!
//! An event counts as delivered when the server has sent back a message to ourselves that follows it on the same
//! connection, or, with `?jetstream` in the address, when a JetStream stream has stored it. It has the header
//! `Nats-Msg-Id`, by which JetStream leaves out what comes twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, Subscriber, jetstream};
use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;

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

/// How often a wait for the server looks whether the connection is still the same.
const LOOK: Duration = Duration::from_millis(100);

/// Sends events to a NATS server.
pub struct Nats {
    server: Arc<Server>,
    stored: bool,
    echo: Option<Echo>,
}

/// Messages to ourselves: the server reads a connection in order, so that one which has come back tells that it
/// has all that was sent before.
struct Echo {
    subject: String,
    returned: Subscriber,
    /// Of the last message.
    number: u64,
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
        Ok(Self {
            server,
            stored,
            echo: None,
        })
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
        let server = Arc::clone(&self.server);
        let sent = async {
            let client = server.connected().await?;
            if self.stored {
                let context = jetstream::new(client.clone());
                let stored = context
                    .publish_with_headers(subject, headers, payload)
                    .await;
                let stored = stored.map_err(|error| error.to_string())?.await;
                return stored.map(drop).map_err(|error| error.to_string());
            }
            let before = connections(client);
            let published = client.publish_with_headers(subject, headers, payload).await;
            published.map_err(|error| error.to_string())?;
            let echo = match &mut self.echo {
                Some(echo) => echo,
                none => none.insert(Echo::open(client).await?),
            };
            echo.wait(client, before).await
        };
        match sent.await {
            Ok(()) => Outcome::Accepted,
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

impl Echo {
    async fn open(client: &Client) -> Result<Self, String> {
        let subject = client.new_inbox();
        let returned = client.subscribe(subject.clone()).await;
        Ok(Self {
            subject,
            returned: returned.map_err(|error| error.to_string())?,
            number: 0,
        })
    }

    /// Waits until the server has what was sent before, if the connection is still the one of `before`.
    async fn wait(&mut self, client: &Client, before: u64) -> Result<(), String> {
        self.number += 1;
        let own = self.number.to_string();
        let sent = client.publish(self.subject.clone(), own.clone().into());
        sent.await.map_err(|error| error.to_string())?;
        loop {
            let returned = timeout(LOOK, self.returned.next()).await;
            is_connected(client)?;
            if connections(client) != before {
                return Err("the connection has ended".to_owned());
            }
            match returned {
                Ok(Some(message)) if message.payload == own.as_bytes() => return Ok(()),
                // Nothing yet, or of an attempt that was given up.
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return Err("the client has ended".to_owned()),
            }
        }
    }
}

/// How many connections there were.
fn connections(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::SeqCst)
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

#[cfg(test)]
mod tests;
