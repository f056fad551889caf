//! Accounts for gRPC messages in the memory budget while they arrive, and cuts those that stall.
//!
//! tonic collects messages by itself, so its source is wrapped: every chunk is accounted for before
//! it is passed on, until the call that it belongs to has been answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::status::status;
use crate::app::App;
use crate::body;
use crate::memory_budget::MemoryShare;
use crate::progress::ProgressDeadline;
use crate::request_context::RequestContext;

/// Bytes before each message: whether it is compressed, and its length (gRPC over HTTP/2).
const PREFIX: usize = 5;

/// Wraps a call's body. The call's handler finds the [`MemoryShare`] in the extensions.
pub async fn layer(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    request: Request,
    next: Next,
) -> Response {
    let is_stream = request.uri().path().ends_with("/ModelStreamInfer");
    let share = Arc::new(app.memory.share(&context.client));
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Arc::clone(&share));
    let progress = ProgressDeadline::new(app.config.limits.min_progress, Instant::now());
    let metered = MeteredBody {
        app,
        body,
        share: Arc::clone(&share),
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
    drop(share);
    response
}

/// A call's messages as they arrive.
struct MeteredBody {
    app: Arc<App>,
    body: Body,
    share: Arc<MemoryShare>,
    progress: ProgressDeadline,
    timer: Pin<Box<Sleep>>,
    position: MessagePosition,
}

/// Where in a message a stream is: between two it may pause.
#[derive(Debug, Default)]
struct MessagePosition {
    prefix: Vec<u8>,
    left: u64,
    /// For calls with one message: it is expected from the start.
    always_within: bool,
}

impl MessagePosition {
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let wanted = (PREFIX - self.prefix.len()).min(bytes.len());
            self.prefix.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if let [_, a, b, c, d] = *self.prefix {
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                self.prefix.clear();
            }
        }
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
            return Poll::Pending;
        };
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
            this.position.advance(data);
            this.progress.advance(Instant::now(), data.len());
            this.timer.as_mut().reset(this.progress.due());
            this.share.grow(data.len()).map_err(status)?;
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
        let mut position = MessagePosition::default();
        let mut bytes = vec![0, 0, 0, 0, 3, 7, 7, 7];
        bytes.extend([0, 0, 0, 0, 0]);
        for (index, byte) in bytes.iter().enumerate() {
            position.advance(&[*byte]);
            assert_eq!(position.is_within(), ![7, 12].contains(&index), "{index}");
        }
        position.advance(&bytes[..6]);
        assert!(position.is_within());
        position.advance(&bytes[6..]);
        assert!(!position.is_within());
    }
}
