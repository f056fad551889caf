//! What the flags of receivers of events mean.

use onelook_server::{DeliveryOptions, WebhookKey, WebhookOptions};

use crate::failure::Failure;
use crate::flags::DeliveryArgs;

impl DeliveryArgs {
    /// Whether there is any receiver.
    pub fn has_receiver(&self) -> bool {
        self.webhook.is_some()
    }

    /// Receivers and the directory in which events wait, if there are any.
    pub fn options(&self) -> Result<DeliveryOptions, Failure> {
        if self.webhook.is_none() && self.webhook_key_file.is_some() {
            let message = "--webhook-key-file: it holds for --webhook, which is not given";
            return Err(Failure::Usage(message.to_owned()));
        }
        let spool = match (&self.event_spool, self.has_receiver()) {
            (Some(spool), _) => spool.clone(),
            (None, false) => return Ok(DeliveryOptions::default()),
            (None, true) => {
                let message = "--event-spool: a directory is needed in which events wait while their receiver \
                               is away";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        let bytes = self.event_spool_size.checked_mul(1_000_000);
        let max_spool_bytes = bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
            let size = self.event_spool_size;
            Failure::Usage(format!(
                "--event-spool-size {size}: expected megabytes, at least 1"
            ))
        })?;
        let options = DeliveryOptions {
            webhook: self.webhook()?,
            spool,
            max_spool_bytes: max_spool_bytes as u64,
        };
        options
            .check()
            .map_err(|reason| Failure::Usage(format!("--{reason}")))?;
        Ok(options)
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
