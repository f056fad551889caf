//! Events and results to a broker that speaks Kafka's protocol: topics `PREFIX.events` and
//! `PREFIX.results`, the stream as key, so that the events of one stream stay in order.
//!
//! An event counts as delivered when all replicas that are in step have it. It has the header `event_id`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rskafka::BackoffConfig;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use tokio::time::timeout;

use super::broker::{BrokerAddress, BrokerKind, BrokerOptions};
use super::live::LiveValues;
use super::message::{stream_of, with_id};
use super::receiver::{Outcome, PATIENCE, Receiver};
use super::spool::Waiting;

const KIND: BrokerKind = BrokerKind {
    plain: ("kafka", 9092),
    encrypted: ("kafkas", 9093),
    separator: '.',
};

/// Longest time that the client tries by itself; then the connection is made anew.
const OWN_PATIENCE: Duration = Duration::from_secs(8);

/// Longest time for the answer to a new topic.
const TOPIC_TIMEOUT_MS: i32 = 5000;

/// Larger than any answer to what is sent.
const MAX_RECEIVED: usize = 4 << 20;

/// Sends events to a Kafka broker.
pub struct Kafka {
    producer: Producer,
}

/// Whether the address can be used.
///
/// # Errors
/// It cannot, and why.
pub fn check(options: &BrokerOptions) -> Result<BrokerAddress, String> {
    let address = BrokerAddress::parse(&options.address, &KIND)?;
    match options.password.is_some() && address.user.is_none() {
        true => Err("it has a password but no user: kafka://USER@HOST".to_owned()),
        false => Ok(address),
    }
}

impl Kafka {
    /// Begins to send results, on the current runtime, for the rest of the process.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn start(options: &BrokerOptions, live: Arc<LiveValues>) -> Result<Self, String> {
        let address = check(options)?;
        let producer = |what| Producer {
            topic: format!("{}.{what}", address.prefix),
            address: address.clone(),
            options: options.clone(),
            partitions: Vec::new(),
        };
        tokio::spawn(send_live(producer("results"), live));
        Ok(Self {
            producer: producer("events"),
        })
    }
}

impl Receiver for Kafka {
    const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

    async fn send(&mut self, event: &Waiting) -> Outcome {
        let headers = BTreeMap::from([("event_id".to_owned(), event.id.clone().into_bytes())]);
        let stream = stream_of(event);
        let sent = self.producer.send(&stream, with_id(event), headers);
        match sent.await {
            Ok(()) => Outcome::Accepted,
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

/// Writes to one topic, with a connection that is made anew after each failure.
struct Producer {
    topic: String,
    address: BrokerAddress,
    options: BrokerOptions,
    partitions: Vec<PartitionClient>,
}

impl Producer {
    async fn send(
        &mut self,
        key: &str,
        value: Vec<u8>,
        headers: BTreeMap<String, Vec<u8>>,
    ) -> Result<(), String> {
        // Left empty if this is dropped in the middle.
        let mut partitions = std::mem::take(&mut self.partitions);
        if partitions.is_empty() {
            partitions = self.connect().await?;
        }
        let record = Record {
            key: Some(key.as_bytes().to_vec()),
            value: Some(value),
            headers,
            timestamp: now(),
        };
        let index = hash(key) as usize % partitions.len();
        let produced = partitions[index].produce(vec![record], Compression::NoCompression);
        produced.await.map_err(|error| error.to_string())?;
        self.partitions = partitions;
        Ok(())
    }

    /// The topic's partitions, at least one. The topic is made if there is none.
    async fn connect(&self) -> Result<Vec<PartitionClient>, String> {
        let client = self.client().await?;
        let topics = client
            .list_topics()
            .await
            .map_err(|error| error.to_string())?;
        let known = topics.into_iter().find(|topic| topic.name == self.topic);
        let numbers = match known {
            Some(topic) => topic.partitions.into_iter().collect(),
            None => {
                let controller = client.controller_client();
                let controller = controller.map_err(|error| error.to_string())?;
                controller
                    .create_topic(&self.topic, 1, 1, TOPIC_TIMEOUT_MS)
                    .await
                    .map_err(|error| error.to_string())?;
                vec![0]
            }
        };
        let mut partitions = Vec::new();
        for number in numbers {
            let handling = UnknownTopicHandling::Retry;
            let opened = client.partition_client(&self.topic, number, handling).await;
            partitions.push(opened.map_err(|error| error.to_string())?);
        }
        match partitions.is_empty() {
            true => Err(format!("the topic {} has no partitions", self.topic)),
            false => Ok(partitions),
        }
    }

    async fn client(&self) -> Result<Client, String> {
        let place = format!("{}:{}", self.address.host, self.address.port);
        let backoff = BackoffConfig {
            deadline: Some(OWN_PATIENCE),
            max_backoff: Duration::from_secs(2),
            ..BackoffConfig::default()
        };
        let mut builder = ClientBuilder::new(vec![place])
            .client_id("onelook")
            .max_message_size(MAX_RECEIVED)
            .backoff_config(backoff);
        if let Some(user) = &self.address.user {
            let password = self.options.password.as_ref();
            let password = password.map_or("", |password| password.reveal());
            let credentials = Credentials::new(user.clone(), password.to_owned());
            builder = builder.sasl_config(SaslConfig::Plain(credentials));
        }
        #[cfg(feature = "tls")]
        if self.address.is_encrypted {
            let ca = self.options.ca.as_deref();
            builder = builder.tls_config(Arc::new(super::encrypted::client_config(ca)?));
        }
        builder.build().await.map_err(|error| error.to_string())
    }
}

fn now() -> DateTime<Utc> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_1970.map_or(0, |time| time.as_millis() as i64);
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// FNV-1a: the same partition for a key in every process.
fn hash(key: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    key.bytes().fold(0x811c_9dc5, step)
}

/// Sends results; what cannot be sent now is left out.
async fn send_live(mut producer: Producer, live: Arc<LiveValues>) {
    loop {
        live.changed.notified().await;
        for (stream, changes) in live.take() {
            let Some(results) = changes.results else {
                continue;
            };
            let value = results.to_string().into_bytes();
            let sent = producer.send(&stream, value, BTreeMap::new());
            let _ = timeout(PATIENCE, sent).await;
        }
    }
}
