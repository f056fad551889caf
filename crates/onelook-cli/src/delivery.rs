//! Events and results of a run to other programs, by the delivery of the server.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use onelook::printable::printable_path;
use onelook_server::EventSinks;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::flags::DeliveryArgs;

/// Longest wait for receivers once a signal has ended the run.
const AFTER_SIGNAL: Duration = Duration::from_secs(3);

/// Receivers of a run.
pub struct Delivery {
    runtime: Runtime,
    sinks: EventSinks,
    /// The directory in which events wait, if it goes when none waits any more.
    temporary: Option<PathBuf>,
    patience: Duration,
}

impl Delivery {
    /// Begins to deliver, if anybody is to get something. Where the flags do not say where events wait, it is in
    /// `spool`, or in a directory that no other run has.
    pub fn start(args: &DeliveryArgs, spool: Option<PathBuf>) -> Result<Option<Rc<Self>>, Failure> {
        let is_temporary = args.has_receiver() && args.event_spool.is_none();
        let temporary = is_temporary.then(|| spool.unwrap_or_else(temporary_name));
        let options = args.options(temporary.as_deref())?;
        if !args.has_receiver() {
            return Ok(None);
        }
        let patience = Duration::try_from_secs_f64(args.event_wait)
            .map_err(|_| Failure::Usage("--event-wait: expected seconds".to_owned()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::failed("threads", error.to_string()))?;
        let inside = runtime.enter();
        let sinks = EventSinks::start_uncounted(&options)
            .map_err(|reason| Failure::failed("events", reason))?;
        drop(inside);
        Ok(Some(Rc::new(Self {
            runtime,
            sinks,
            temporary,
            patience,
        })))
    }

    /// Takes events, results and counts.
    pub fn sinks(&self) -> &EventSinks {
        &self.sinks
    }

    /// Waits until everything was delivered, not for long if a signal has ended the run.
    pub fn finish(&self, is_interrupted: bool) -> Result<(), Failure> {
        let patience = match is_interrupted {
            true => self.patience.min(AFTER_SIGNAL),
            false => self.patience,
        };
        let left = self.runtime.block_on(self.sinks.flush(patience));
        let Some(first) = left.first() else {
            if let Some(directory) = &self.temporary {
                // Nothing waits in it any more.
                let _ = std::fs::remove_dir_all(directory);
            }
            return Ok(());
        };
        let receivers: Vec<&str> = left.iter().map(|left| left.receiver).collect();
        let spool = first.directory.parent().unwrap_or(&first.directory);
        Err(Failure::failed(
            "events",
            format!(
                "{} did not get all events in {} s (--event-wait); they wait in '{}': a run with --event-spool and \
                 this directory sends them first",
                receivers.join(" and "),
                patience.as_secs_f64(),
                printable_path(spool)
            ),
        ))
    }
}

/// A directory that no other process has. The standard library's hashers have random keys.
fn temporary_name() -> PathBuf {
    let random = RandomState::new().hash_one(std::process::id());
    std::env::temp_dir().join(format!("onelook-events-{random:016x}"))
}
