//! Pictures read and decoded ahead of the network, in order, on a thread of their own.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use onelook::Error;
use onelook::media::{Limits, Source, SourceItem, decode};
use onelook::types::Frame;

/// A picture, or why there is none.
pub struct Loaded {
    /// Path or address.
    pub name: String,
    /// The pixels.
    pub frame: Result<Frame, Error>,
    /// Time of decoding.
    pub decode: Duration,
}

/// Starts reading; at most two batches wait. Ends early when the receiver is dropped.
pub fn load_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: Source,
    batch: usize,
    limits: Limits,
) -> Receiver<Loaded> {
    let (sender, receiver) = sync_channel(2 * batch.max(1));
    scope.spawn(move || {
        for item in source {
            if sender.send(load(item, &limits)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Decodes one picture of a source.
pub fn load(item: SourceItem, limits: &Limits) -> Loaded {
    let start = Instant::now();
    let frame = item.bytes.map_err(Error::from).and_then(|bytes| {
        decode(&bytes, limits).map_err(|source| Error::Picture {
            name: item.name.clone(),
            source,
        })
    });
    Loaded {
        name: item.name,
        frame,
        decode: start.elapsed(),
    }
}
