//! Accounts for gRPC messages in the memory budget while they arrive, and cuts those that stall.
//!
//! tonic collects messages by itself, so its source is wrapped: every chunk is accounted for before
//! it is passed on, until the call that it belongs to has been answered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::codec::SMALL;
use super::status::status;
use crate::app::App;
use crate::body;
use crate::connection_watch::{ConnectionWatch, PauseGuard};
use crate::locks::lock;
use crate::memory_budget::MemoryShare;
use crate::progress::ProgressDeadline;
use crate::request_context::RequestContext;

/// Bytes before each message: whether it is compressed, and its length (gRPC over HTTP/2).
const PREFIX: usize = 5;

/// Wraps a call's body. The call's handler finds the [`CallMemory`] in the extensions.
pub async fn layer(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_stream = path.ends_with("/ModelStreamInfer");
    // Some of the others are answered without a token.
    let most_bytes = match is_stream || path.ends_with("/ModelInfer") {
        true => usize::MAX,
        false => SMALL + PREFIX,
    };
    let memory = Arc::new(CallMemory {
        share: app.memory.share(&context.client),
        messages: Mutex::default(),
    });
    let watch = request.extensions().get::<Arc<ConnectionWatch>>().cloned();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Arc::clone(&memory));
    let progress = ProgressDeadline::new(app.config.limits.min_progress, Instant::now());
    let metered = MeteredBody {
        app,
        body,
        most_bytes,
        memory: Arc::clone(&memory),
        watch,
        pause: None,
        timer: Box::pin(sleep_until(progress.due())),
        progress,
        position: MessagePosition {
            always_within: !is_stream,
            ..MessagePosition::default()
        },
    };
    let response = next.run(Request::from_parts(parts, Body::new(metered)));
    let response = response.await;
    // Held to this point, whatever the handler does with the extensions.
    drop(memory);
    response
}

/// What a call's messages hold of the memory budget.
pub struct CallMemory {
    share: MemoryShare,
    /// Bytes of the messages that have arrived whole and were not given back, prefixes included.
    messages: Mutex<VecDeque<usize>>,
}

impl CallMemory {
    /// Gives back what the oldest message holds.
    pub fn release_message(&self) {
        let oldest = self.messages().pop_front();
        self.share.shrink(oldest.unwrap_or_default());
    }

    fn messages(&self) -> MutexGuard<'_, VecDeque<usize>> {
        lock(&self.messages)
    }
}

/// A call's messages as they arrive.
struct MeteredBody {
    app: Arc<App>,
    body: Body,
    /// Most bytes that may still come.
    most_bytes: usize,
    memory: Arc<CallMemory>,
    watch: Option<Arc<ConnectionWatch>>,
    /// While a stream that has answered everything waits for its next message.
    pause: Option<PauseGuard>,
    progress: ProgressDeadline,
    timer: Pin<Box<Sleep>>,
    position: MessagePosition,
}

/// Where in a message a stream is: between two it may pause.
#[derive(Debug, Default)]
struct MessagePosition {
    prefix: Vec<u8>,
    left: u64,
    /// Bytes of the message so far.
    length: usize,
    /// For calls with one message: it is expected from the start.
    always_within: bool,
}

impl MessagePosition {
    /// Goes on by these bytes; the lengths of the messages that end with them.
    fn advance(&mut self, mut bytes: &[u8]) -> Vec<usize> {
        let mut ended = Vec::new();
        while !bytes.is_empty() {
            let taken = match self.left {
                0 => (PREFIX - self.prefix.len()).min(bytes.len()),
                left => bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            };
            match self.left {
                0 => self.prefix.extend_from_slice(&bytes[..taken]),
                _ => self.left -= taken as u64,
            }
            self.length += taken;
            bytes = &bytes[taken..];
            if let [_, a, b, c, d] = *self.prefix {
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                self.prefix.clear();
            }
            if self.left == 0 && self.prefix.is_empty() {
                ended.push(std::mem::take(&mut self.length));
            }
        }
        ended
    }

    fn is_within(&self) -> bool {
        self.always_within || self.left > 0 || !self.prefix.is_empty()
    }
}

impl hyper::body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            if this.position.is_within() {
                ready!(this.timer.as_mut().poll(context));
                let late = status(body::too_slow(&this.app.config.limits));
                return Poll::Ready(Some(Err(late)));
            }
            // The next message is asked for once the one before has been answered.
            if this.pause.is_none() {
                this.pause = this.watch.as_ref().map(ConnectionWatch::pause);
            }
            return Poll::Pending;
        };
        this.pause = None;
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        if let Some(data) = frame.data_ref() {
            if !this.position.is_within() {
                // The time between two messages does not count.
                let expected = this.app.config.limits.min_progress;
                this.progress = ProgressDeadline::new(expected, Instant::now());
            }
            let ended = this.position.advance(data);
            this.memory.messages().extend(ended);
            let left = this.most_bytes.checked_sub(data.len());
            this.most_bytes = left.ok_or_else(|| {
                let reason = format!("its message has more than {SMALL} bytes");
                Status::resource_exhausted(reason)
            })?;
            this.progress.advance(Instant::now(), data.len());
            this.timer.as_mut().reset(this.progress.due());
            this.memory.share.grow(data.len()).map_err(status)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_within_a_message_from_its_first_byte_to_its_last() {
        let mut bytes = vec![0, 0, 0, 0, 3, 7, 7, 7];
        bytes.extend([0, 0, 0, 0, 0]);
        let mut position = MessagePosition::default();
        let mut ended = Vec::new();
        for (index, byte) in bytes.iter().enumerate() {
            ended.extend(position.advance(&[*byte]));
            assert_eq!(position.is_within(), ![7, 12].contains(&index), "{index}");
        }
        assert_eq!(ended, [8, 5]);
        assert_eq!(position.advance(&bytes[..6]), [0; 0]);
        assert!(position.is_within());
        // The rest of the first message, the second, and the start of a third.
        let rest = [&bytes[6..], &bytes[..2]].concat();
        assert_eq!(position.advance(&rest), [8, 5]);
        assert!(position.is_within());
        assert_eq!(position.advance(&bytes[2..]), [8, 5]);
        assert!(!position.is_within());
    }
}
