//! What the flags of receivers of events mean.

use std::path::{Path, PathBuf};

use onelook_server::{
    BrokerOptions, DeliveryOptions, MqttOptions, Password, WebhookKey, WebhookOptions,
};

use crate::failure::Failure;
use crate::flags::DeliveryArgs;

/// More results are of no use to anybody.
const MOST_RESULTS: f64 = 100.0;

impl DeliveryArgs {
    /// Whether there is any receiver.
    pub fn has_receiver(&self) -> bool {
        [&self.webhook, &self.mqtt, &self.nats, &self.kafka]
            .iter()
            .any(|receiver| receiver.is_some())
    }

    /// Receivers and the directory in which events wait, if there are any; `spool` is the directory where
    /// none is given.
    pub fn options(&self, spool: Option<&Path>) -> Result<DeliveryOptions, Failure> {
        self.check_companions()?;
        if !self.has_receiver() {
            return Ok(DeliveryOptions::default());
        }
        let spool = self.event_spool.as_deref().or(spool).ok_or_else(|| {
            let message = "--event-spool: a directory is needed in which events wait while their receiver is \
                           away";
            Failure::Usage(message.to_owned())
        })?;
        let bytes = self.event_spool_size.checked_mul(1_000_000);
        let max_spool_bytes = bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
            let size = self.event_spool_size;
            Failure::Usage(format!(
                "--event-spool-size {size}: expected megabytes, at least 1"
            ))
        })?;
        if !(0.0..=MOST_RESULTS).contains(&self.broker_results) {
            return Err(Failure::Usage(format!(
                "--broker-results {}: expected 0 to {MOST_RESULTS} a second",
                self.broker_results
            )));
        }
        let broker = |address: &Option<String>, file: &Option<PathBuf>, variable: &str| {
            let broker = address.as_ref().map(|address| {
                Ok::<_, Failure>(BrokerOptions {
                    address: address.clone(),
                    password: password(file.as_deref(), variable)?,
                    ca: self.broker_ca.clone(),
                })
            });
            broker.transpose()
        };
        let mqtt = broker(
            &self.mqtt,
            &self.mqtt_password_file,
            "ONELOOK_MQTT_PASSWORD",
        )?;
        let options = DeliveryOptions {
            webhook: self.webhook()?,
            mqtt: mqtt.map(|broker| MqttOptions {
                broker,
                discovery: self.mqtt_discovery.clone(),
            }),
            nats: broker(
                &self.nats,
                &self.nats_password_file,
                "ONELOOK_NATS_PASSWORD",
            )?,
            kafka: broker(
                &self.kafka,
                &self.kafka_password_file,
                "ONELOOK_KAFKA_PASSWORD",
            )?,
            results_per_second: self.broker_results,
            spool: spool.to_owned(),
            max_spool_bytes: max_spool_bytes as u64,
        };
        options
            .check()
            .map_err(|reason| Failure::Usage(format!("--{reason}")))?;
        Ok(options)
    }

    /// Flags that say nothing without another.
    fn check_companions(&self) -> Result<(), Failure> {
        let companions = [
            (
                "--webhook-key-file",
                self.webhook_key_file.is_some(),
                "--webhook",
                &self.webhook,
            ),
            (
                "--mqtt-password-file",
                self.mqtt_password_file.is_some(),
                "--mqtt",
                &self.mqtt,
            ),
            (
                "--mqtt-discovery",
                self.mqtt_discovery.is_some(),
                "--mqtt",
                &self.mqtt,
            ),
            (
                "--nats-password-file",
                self.nats_password_file.is_some(),
                "--nats",
                &self.nats,
            ),
            (
                "--kafka-password-file",
                self.kafka_password_file.is_some(),
                "--kafka",
                &self.kafka,
            ),
        ];
        for (flag, is_given, of, value) in companions {
            if is_given && value.is_none() {
                let message = format!("{flag}: it holds for {of}, which is not given");
                return Err(Failure::Usage(message));
            }
        }
        Ok(())
    }

    fn webhook(&self) -> Result<Option<WebhookOptions>, Failure> {
        let Some(url) = self.webhook.clone() else {
            return Ok(None);
        };
        let key = self.webhook_key_file.as_deref().map(|path| {
            WebhookKey::read(path).map_err(|reason| Failure::failed("webhook", reason))
        });
        let key = key.transpose()?;
        Ok(Some(WebhookOptions { url, key }))
    }
}

/// The password of a file, or else of a variable.
fn password(file: Option<&Path>, variable: &str) -> Result<Option<Password>, Failure> {
    if let Some(path) = file {
        let read = Password::read(path).map(Some);
        return read.map_err(|reason| Failure::failed("password", reason));
    }
    let Some(text) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let password = text.to_str().and_then(Password::parse);
    match password {
        Some(password) => Ok(Some(password)),
        None => Err(Failure::Usage(format!(
            "{variable}: it is set and holds no password: unset it, or give it one"
        ))),
    }
}
