//! Events, results and counts to an MQTT broker (3.1.1).
//!
//! `PREFIX/STREAM/events` at least once, one after the other; `PREFIX/STREAM/results` at most once;
//! `PREFIX/STREAM/counts` retained; `PREFIX/availability` is `online`, or `offline` by last will.
//!
//! One connection at a time, and one event under way on it. When anything is odd the connection is given up
//! with all that it knew, so that no acknowledgement can be taken for another event's. Of a stream that is
//! removed, the broker is told to keep nothing.

mod connection;
mod discovery;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use onelook::media::video::Backoff;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::broker::{BrokerAddress, BrokerKind, BrokerOptions};
use super::live::LiveValues;
use super::message::{stream_of, with_id};
use super::receiver::{Outcome, PATIENCE, Receiver};
use super::spool::Waiting;
use connection::{Connection, KEEP_ALIVE, Will};
use discovery::Discovery;

const KIND: BrokerKind = BrokerKind {
    plain: ("mqtt", 1883),
    encrypted: ("mqtts", 8883),
    separator: '/',
};

/// The wait before a broker is tried again, and the longest one.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];

/// An MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttOptions {
    /// Where it is.
    pub broker: BrokerOptions,
    /// Prefix of the topics by which Home Assistant discovers counts, if it is to.
    pub discovery: Option<String>,
}

/// Hands events to the task that has the connection.
pub struct Mqtt {
    address: BrokerAddress,
    jobs: mpsc::Sender<Job>,
}

/// An event under way.
struct Job {
    topic: String,
    payload: Bytes,
    done: oneshot::Sender<Outcome>,
}

/// Whether the address can be used.
///
/// # Errors
/// It cannot, and why.
pub fn check(options: &MqttOptions) -> Result<BrokerAddress, String> {
    let prefix = options.discovery.as_deref().unwrap_or("-");
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '/');
    if prefix.is_empty() || !prefix.chars().all(is_plain) {
        return Err("its discovery prefix must be letters, digits, -, _ and /".to_owned());
    }
    let address = BrokerAddress::parse(&options.broker.address, &KIND)?;
    match options.broker.password.is_some() && address.user.is_none() {
        true => Err("it has a password but no user: mqtt://USER@HOST".to_owned()),
        false => Ok(address),
    }
}

impl Mqtt {
    /// Begins to connect, on the current runtime, for the rest of the process.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn start(options: &MqttOptions, live: Arc<LiveValues>) -> Result<Self, String> {
        let address = check(options)?;
        let (jobs, waiting) = mpsc::channel(1);
        let prefix = options.discovery.clone();
        let client = Client {
            discovery: prefix.map(|prefix| Discovery::new(prefix, &address.prefix)),
            address: address.clone(),
            options: options.clone(),
            live,
            removals: VecDeque::new(),
            sent: 0,
        };
        tokio::spawn(client.run(waiting));
        Ok(Self { address, jobs })
    }
}

impl Receiver for Mqtt {
    const WAITS: [Duration; 2] = WAITS;

    async fn send(&mut self, event: &Waiting) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let job = Job {
            topic: self.address.topic(&stream_of(event), "events", &KIND),
            payload: with_id(event).into(),
            done,
        };
        let gone = || Outcome::Failed("the connection has ended".to_owned());
        match self.jobs.send(job).await {
            Ok(()) => outcome.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}

struct Client {
    address: BrokerAddress,
    options: MqttOptions,
    live: Arc<LiveValues>,
    discovery: Option<Discovery>,
    /// Messages that take away what is retained, each until the broker has answered a ping that follows it.
    removals: VecDeque<Publish>,
    /// How many of them, from the first, were sent on this connection.
    sent: usize,
}

/// An event that the broker has not acknowledged.
struct UnderWay {
    id: u16,
    since: Instant,
    done: oneshot::Sender<Outcome>,
}

impl Client {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut backoff = Backoff::new(WAITS[0], WAITS[1], Duration::from_secs(30));
        loop {
            let began = Instant::now();
            let reason = match self.serve(&mut jobs).await {
                Ok(()) => return,
                Err(reason) => reason,
            };
            let (host, port) = (&self.address.host, self.address.port);
            tracing::warn!(host, port, reason, "no connection to the MQTT broker");
            tokio::time::sleep(backoff.next(began.elapsed())).await;
        }
    }

    fn availability(&self) -> String {
        format!("{}/availability", self.address.prefix)
    }

    /// Connects and sends until the connection ends, or nobody sends events any more.
    async fn serve(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Result<(), String> {
        let will = Will {
            topic: self.availability(),
            message: "offline",
        };
        let mut connection = Connection::open(&self.address, &self.options.broker, will).await?;
        tracing::info!(host = self.address.host, "connected to the MQTT broker");
        connection
            .publish(retained(self.availability(), "online"))
            .await?;
        if let Some(discovery) = &mut self.discovery {
            discovery.begin();
        }
        self.sent = 0;
        // How many removals the ping follows that is not answered yet.
        let mut before_ping = None;
        self.live.repeat_totals();
        let mut under_way: Option<UnderWay> = None;
        let mut last_id = 0;
        let mut ticks = tokio::time::interval(KEEP_ALIVE / 2);
        let mut is_answered = true;
        loop {
            tokio::select! {
                packet = connection.next() => {
                    is_answered = true;
                    match packet? {
                        Packet::PubAck(acknowledged) => {
                            let is_it = |event: &mut UnderWay| event.id == acknowledged.pkid;
                            if let Some(event) = under_way.take_if(is_it) {
                                // Nobody waits for it any more if it took too long.
                                let _ = event.done.send(Outcome::Accepted);
                            }
                        }
                        Packet::PingResp => {
                            let count = before_ping.take().unwrap_or(0);
                            self.removals.drain(..count);
                            self.sent -= count;
                        }
                        _ => {}
                    }
                }
                job = jobs.recv(), if under_way.is_none() => {
                    let Some(job) = job else {
                        return connection.disconnect(retained(self.availability(), "offline")).await;
                    };
                    if job.done.is_closed() {
                        continue;
                    }
                    last_id = if last_id == u16::MAX { 1 } else { last_id + 1 };
                    let mut publish = Publish::from_bytes(job.topic, QoS::AtLeastOnce, job.payload);
                    publish.pkid = last_id;
                    connection.publish(publish).await?;
                    under_way = Some(UnderWay { id: last_id, since: Instant::now(), done: job.done });
                }
                () = self.live.changed.notified() => {
                    self.send_live(&mut connection).await?;
                }
                _ = ticks.tick() => {
                    let is_late = |event: &UnderWay| event.since.elapsed() > PATIENCE;
                    if !is_answered || under_way.as_ref().is_some_and(is_late) {
                        return Err("it does not answer".to_owned());
                    }
                    is_answered = false;
                    connection.ping().await?;
                    before_ping.get_or_insert(self.sent);
                }
            }
        }
    }

    /// What announces the entities of these counts; those that a stream has no more are removed.
    fn announce(&mut self, stream: &str, totals: Option<&Value>) -> Vec<Publish> {
        let discovery = self.discovery.as_mut();
        let messages = discovery.map(|discovery| discovery.update(stream, totals));
        let messages = messages.into_iter().flatten();
        let messages = messages.map(|message| retained(message.topic, message.payload));
        let (gone, new): (Vec<_>, _) = messages.partition(|message| message.payload.is_empty());
        self.removals.extend(gone);
        new
    }

    async fn send_removals(&mut self, connection: &mut Connection) -> Result<(), String> {
        while let Some(message) = self.removals.get(self.sent) {
            connection.publish(message.clone()).await?;
            self.sent += 1;
        }
        Ok(())
    }

    async fn send_live(&mut self, connection: &mut Connection) -> Result<(), String> {
        let taken = self.live.take();
        // All of them first: what is taken is lost when the connection ends.
        for (stream, _) in taken.iter().filter(|(_, changes)| changes.is_gone) {
            self.announce(stream, None);
            let counts = self.address.topic(stream, "counts", &KIND);
            self.removals.push_back(retained(counts, ""));
        }
        self.send_removals(connection).await?;
        for (stream, changes) in taken {
            if let Some(totals) = changes.totals {
                for message in self.announce(&stream, Some(&totals)) {
                    connection.publish(message).await?;
                }
                self.send_removals(connection).await?;
                let topic = self.address.topic(&stream, "counts", &KIND);
                let counts = retained(topic, totals.to_string());
                connection.publish(counts).await?;
            }
            if let Some(results) = changes.results {
                let topic = self.address.topic(&stream, "results", &KIND);
                let publish = Publish::new(topic, QoS::AtMostOnce, results.to_string());
                connection.publish(publish).await?;
            }
        }
        Ok(())
    }
}

/// A message that the broker keeps for those who come later.
fn retained(topic: String, payload: impl Into<Vec<u8>>) -> Publish {
    let mut publish = Publish::new(topic, QoS::AtMostOnce, payload);
    publish.retain = true;
    publish
}

#[cfg(test)]
mod tests;
