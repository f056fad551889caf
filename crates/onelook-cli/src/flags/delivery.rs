//! Flags that say where events go.

use std::path::PathBuf;

use clap::Args;

/// Other programs that get events.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Events for other programs")]
pub struct DeliveryArgs {
    /// URL that gets each event of lines and zones as a POST of JSON, in order and until it was accepted,
    /// as Standard Webhooks defines it.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// File with the key that signs events for --webhook: 24 to 64 bytes in base64.
    #[arg(long, value_name = "FILE")]
    pub webhook_key_file: Option<PathBuf>,
    /// MQTT broker, as `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or mqtts:// for TLS. PREFIX/STREAM/events gets each
    /// event at least once, PREFIX/STREAM/results the newest objects, PREFIX/STREAM/counts the counts
    /// (retained), PREFIX/availability online or offline [default of PREFIX: onelook]
    #[arg(long, value_name = "URL")]
    pub mqtt: Option<String>,
    /// File with the password of the MQTT user; ONELOOK_MQTT_PASSWORD is the other way.
    #[arg(long, value_name = "FILE")]
    pub mqtt_password_file: Option<PathBuf>,
    /// Announce counts of lines and occupancy of zones to Home Assistant below this prefix, which is
    /// homeassistant unless it was changed there.
    #[arg(long, value_name = "PREFIX")]
    pub mqtt_discovery: Option<String>,
    /// NATS server, as `nats://[USER@]HOST[:PORT][/PREFIX]`, or tls://: subjects PREFIX.STREAM.events and
    /// PREFIX.STREAM.results. With ?jetstream at its end an event counts as delivered once a JetStream stream
    /// has stored it; else once the server has read it, which takes the right to publish and subscribe to
    /// _INBOX.>. Needs a build with the feature nats.
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// File with the password of the NATS user, or without a user with a token; also
    /// ONELOOK_NATS_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,
    /// Broker that speaks Kafka's protocol, as `kafka://[USER@]HOST[:PORT][/PREFIX]`, or kafkas:// for TLS: topics
    /// PREFIX.events and PREFIX.results with the stream as key. Needs a build with the feature kafka.
    #[arg(long, value_name = "URL")]
    pub kafka: Option<String>,
    /// File with the password of the Kafka user (SASL PLAIN); also ONELOOK_KAFKA_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub kafka_password_file: Option<PathBuf>,
    /// PEM file with certificates of brokers that are trusted besides the public ones.
    #[arg(long, value_name = "FILE")]
    pub broker_ca: Option<PathBuf>,
    /// Most results a second of each stream that brokers get; 0 for none.
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    pub broker_results: f64,
    /// Directory in which events wait while a receiver is away; of this process alone. `serve` needs it,
    /// `count` and `track` take a temporary one.
    #[arg(long, alias = "webhook-spool", value_name = "DIR")]
    pub event_spool: Option<PathBuf>,
    /// Most megabytes of events that wait for one receiver; beyond, the oldest are given up and counted.
    #[arg(
        long,
        alias = "webhook-spool-size",
        default_value_t = 100,
        value_name = "MB"
    )]
    pub event_spool_size: usize,
    /// Longest time in seconds that `count` and `track` wait at their end for events to be delivered.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub event_wait: f64,
}
