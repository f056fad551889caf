//! Events to other programs: in order, each until it was accepted.
//!
//! Every receiver has a spool on disk of its own, in which events wait while it is away. Whoever publishes
//! them waits neither for the disk nor for a receiver.

mod broker;
mod encrypted;
#[cfg(feature = "kafka")]
mod kafka;
mod live;
mod message;
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod queue;
mod receiver;
mod spool;
mod webhook;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onelook::record::objects;
use onelook::types::Instances;
use prometheus::{IntCounterVec, Opts};
use serde_json::{Value, json};

pub use broker::{BrokerOptions, Password};
use live::{LiveValues, totals_by_name};
use mqtt::Mqtt;
pub use mqtt::MqttOptions;
use queue::EventQueue;
use receiver::{Receiver, deliver};
use spool::Spool;
use webhook::Webhook;
pub use webhook::{WebhookKey, WebhookOptions};

/// How often it is looked whether everything was delivered.
const LOOK: Duration = Duration::from_millis(20);

/// Where events go, and where they wait.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeliveryOptions {
    /// Servers that take events by HTTP.
    pub webhook: Option<WebhookOptions>,
    /// An MQTT broker.
    pub mqtt: Option<MqttOptions>,
    /// A NATS server; needs a build with the feature `nats`.
    pub nats: Option<BrokerOptions>,
    /// A Kafka broker; needs a build with the feature `kafka`.
    pub kafka: Option<BrokerOptions>,
    /// Most results a second of each stream that brokers get; 0 for none.
    pub results_per_second: f64,
    /// Where events wait: a directory for each receiver is made in it. One process may use it at a time.
    pub spool: PathBuf,
    /// Most bytes that wait for one receiver; beyond, the oldest are given up.
    pub max_spool_bytes: u64,
}

impl DeliveryOptions {
    /// Checks addresses and files of certificates.
    ///
    /// # Errors
    /// One cannot be used, or needs another build.
    pub fn check(&self) -> Result<(), String> {
        let mqtt = self.mqtt.as_ref().map(|it| &it.broker);
        for (name, broker) in [
            ("mqtt", mqtt),
            ("nats", self.nats.as_ref()),
            ("kafka", self.kafka.as_ref()),
        ] {
            let ca = broker.and_then(|broker| broker.ca.as_deref());
            encrypted::check(ca).map_err(|reason| format!("{name}: {reason}"))?;
        }
        let webhook = self.webhook.as_ref().map(|it| Webhook::new(it).map(drop));
        let mqtt = self.mqtt.as_ref().map(|it| mqtt::check(it).map(drop));
        #[cfg(feature = "nats")]
        let nats = self.nats.as_ref().map(|it| nats::check(it).map(drop));
        #[cfg(not(feature = "nats"))]
        let nats = self.nats.as_ref().map(|_| Err(needs("nats")));
        #[cfg(feature = "kafka")]
        let kafka = self.kafka.as_ref().map(|it| kafka::check(it).map(drop));
        #[cfg(not(feature = "kafka"))]
        let kafka = self.kafka.as_ref().map(|_| Err(needs("kafka")));
        for (name, checked) in [
            ("webhook", webhook),
            ("mqtt", mqtt),
            ("nats", nats),
            ("kafka", kafka),
        ] {
            let checked = checked.unwrap_or(Ok(()));
            checked.map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(())
    }

    /// Whether [`EventSinks::start`] could open the spools, found without opening them: another process may
    /// use them. What it would say, for each.
    pub fn unusable_spools(&self) -> Vec<String> {
        let receivers = [
            ("webhook", self.webhook.is_some()),
            ("mqtt", self.mqtt.is_some()),
            ("nats", self.nats.is_some()),
            ("kafka", self.kafka.is_some()),
        ];
        let named = receivers.iter().filter(|(_, is_given)| *is_given);
        let checked = named.filter_map(|(name, _)| {
            let directory = self.spool.join(name);
            let error = Spool::check(&directory).err()?;
            Some(unusable(name, &directory, &error))
        });
        checked.collect()
    }
}

fn unusable(name: &str, directory: &Path, error: &std::io::Error) -> String {
    let directory = directory.display();
    format!("{name}: '{directory}' cannot hold events: {error}")
}

/// Why a receiver is not in this build.
#[cfg(not(all(feature = "nats", feature = "kafka")))]
fn needs(feature: &str) -> String {
    format!("this build has no {feature}: build it with --features {feature}")
}

/// Takes events for all receivers, and the newest results and counts for brokers.
#[derive(Clone, Default)]
pub struct EventSinks {
    queues: Vec<Queue>,
    live: Vec<Arc<LiveValues>>,
}

#[derive(Clone)]
struct Queue {
    queue: Arc<EventQueue>,
    directory: PathBuf,
}

/// What was found on a frame of a stream.
pub struct StreamResults<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// Which frame of it.
    pub frame: u64,
    /// When, in seconds of the stream.
    pub time: f64,
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// The objects, with the numbers of their tracks where there are any.
    pub found: &'a Instances,
    /// The classes' names.
    pub names: &'a [String],
}

impl StreamResults<'_> {
    fn json(&self) -> Value {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        json!({
            "stream": self.stream,
            "frame": self.frame,
            "time": (self.time * 1e6).round() / 1e6,
            "at_ms": since_1970.map_or(0, |time| time.as_millis() as u64),
            "width": self.size[0],
            "height": self.size[1],
            "objects": objects(self.found, self.names, self.size),
        })
    }
}

/// A receiver that has not got all events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Its kind, such as `webhook`.
    pub receiver: &'static str,
    /// Where its events wait.
    pub directory: PathBuf,
}

impl EventSinks {
    /// Opens the spools and begins to deliver what waits there, on the current runtime, for the rest of the
    /// process. `events` counts by receiver and outcome: `delivered`, `refused`, `dropped`.
    ///
    /// # Errors
    /// An address is wrong, or a directory cannot be used.
    pub fn start(options: &DeliveryOptions, events: &IntCounterVec) -> Result<Self, String> {
        options.check()?;
        let mut sinks = Self::default();
        if let Some(webhook) = &options.webhook {
            sinks.add("webhook", Webhook::new(webhook)?, options, events)?;
        }
        if let Some(mqtt) = &options.mqtt {
            let receiver = Mqtt::start(mqtt, sinks.live(options))?;
            sinks.add("mqtt", receiver, options, events)?;
        }
        #[cfg(feature = "nats")]
        if let Some(nats) = &options.nats {
            let receiver = nats::Nats::start(nats, sinks.live(options))?;
            sinks.add("nats", receiver, options, events)?;
        }
        #[cfg(feature = "kafka")]
        if let Some(kafka) = &options.kafka {
            let receiver = kafka::Kafka::start(kafka, sinks.live(options))?;
            sinks.add("kafka", receiver, options, events)?;
        }
        Ok(sinks)
    }

    /// The same, with counts that nobody reads.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_uncounted(options: &DeliveryOptions) -> Result<Self, String> {
        let counts = Opts::new("events", "events");
        let counts = IntCounterVec::new(counts, &["receiver", "outcome"]);
        Self::start(options, &counts.map_err(|error| error.to_string())?)
    }

    /// The newest values for one more broker.
    fn live(&mut self, options: &DeliveryOptions) -> Arc<LiveValues> {
        let live = Arc::new(LiveValues::new(options.results_per_second));
        self.live.push(Arc::clone(&live));
        live
    }

    fn add(
        &mut self,
        name: &'static str,
        receiver: impl Receiver,
        options: &DeliveryOptions,
        events: &IntCounterVec,
    ) -> Result<(), String> {
        let directory = options.spool.join(name);
        let spool = Spool::open(&directory, options.max_spool_bytes)
            .map_err(|error| unusable(name, &directory, &error))?;
        let queue = EventQueue::start(name, spool, events.clone());
        let queue = queue.map_err(|error| format!("{name}: no thread: {error}"))?;
        tokio::spawn(deliver(Arc::clone(&queue), receiver));
        self.queues.push(Queue { queue, directory });
        Ok(())
    }

    /// Hands an event to every receiver and returns at once. For a receiver it is lost, and counted, only if
    /// the disk is so slow that many wait for it already.
    pub fn publish(&self, event: &Value) {
        if self.queues.is_empty() {
            return;
        }
        let line: Arc<[u8]> = event.to_string().into_bytes().into();
        for Queue { queue, .. } in &self.queues {
            queue.publish(Arc::clone(&line));
        }
    }

    /// The newest results of a stream, for brokers that are to have some now.
    pub fn set_results(&self, results: &StreamResults<'_>) {
        let mut json = None;
        for live in &self.live {
            if live.wants_results(results.stream) {
                live.set_results(results.stream, json.get_or_insert_with(|| results.json()));
            }
        }
    }

    /// The counts of a stream's lines and zones, for brokers.
    pub fn set_totals(&self, stream: &str, lines: &[Value], zones: &[Value]) {
        if self.live.is_empty() {
            return;
        }
        let totals = totals_by_name(lines, zones);
        for live in &self.live {
            live.set_totals(stream, &totals);
        }
    }

    /// Has brokers keep nothing of a stream that is removed.
    pub fn forget(&self, stream: &str) {
        for live in &self.live {
            live.forget(stream);
        }
    }

    /// Waits until everything is on disk, at most so long; whether it is.
    pub async fn store(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.queues.iter().any(|it| !it.queue.is_stored()) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Waits until everything was delivered, at most so long; the receivers that have not got all.
    pub async fn flush(&self, patience: Duration) -> Vec<Undelivered> {
        let deadline = Instant::now() + patience;
        loop {
            let waiting = self.queues.iter().filter(|it| !it.queue.is_empty());
            let waiting: Vec<Undelivered> = waiting
                .map(|it| Undelivered {
                    receiver: it.queue.receiver(),
                    directory: it.directory.clone(),
                })
                .collect();
            if waiting.is_empty() || Instant::now() >= deadline {
                return waiting;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests;
