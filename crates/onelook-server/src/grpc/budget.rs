//! What messages on their way in take of the server's budget for bodies, and how long they may take.
//!
//! The protocol's library collects messages by itself; here its source is watched: every piece is
//! paid for before it is passed on, until the call that it belongs to is answered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use crate::app::App;

/// Bytes that a call holds of the budget, in its unit; given back when the call ends.
pub struct Ledger {
    app: Arc<App>,
    bytes: AtomicUsize,
}

impl Ledger {
    fn take(&self, bytes: usize) -> Result<(), Status> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let needed = kibibytes(before + bytes) - kibibytes(before);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        match self.app.bodies.try_acquire_many(needed) {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) => {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(Status::unavailable(
                    "the server holds as many bytes of requests as it may: try again later",
                ))
            }
        }
    }

    /// Gives so many bytes back: a message of a stream was answered.
    pub fn release(&self, bytes: usize) {
        let change = |held: usize| Some(held.saturating_sub(bytes));
        let order = Ordering::Relaxed;
        let before = self.bytes.fetch_update(order, order, change).unwrap_or(0);
        let after = before.saturating_sub(bytes);
        self.app
            .bodies
            .add_permits(kibibytes(before) - kibibytes(after));
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let held = kibibytes(*self.bytes.get_mut());
        self.app.bodies.add_permits(held);
    }
}

fn kibibytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 10)
}

/// Puts the watch over a call's messages; its handler finds the ledger in the extensions.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_stream = request.uri().path().ends_with("/ModelStreamInfer");
    let patience = app.config.limits.body_timeout;
    let ledger = Arc::new(Ledger {
        app,
        bytes: AtomicUsize::new(0),
    });
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Arc::clone(&ledger));
    let watched = Watched {
        body,
        ledger: Arc::clone(&ledger),
        late: (!is_stream).then(|| Box::pin(tokio::time::sleep(patience))),
    };
    let response = next.run(Request::from_parts(parts, Body::new(watched)));
    response.await
}

/// A call's messages as they come.
struct Watched {
    body: Body,
    ledger: Arc<Ledger>,
    /// When a single message must be there; streams may be silent.
    late: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(late) = &mut self.late
            && late.as_mut().poll(context).is_ready()
        {
            let status = Status::deadline_exceeded("the message did not arrive in time");
            return Poll::Ready(Some(Err(status)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        if let Some(data) = frame.data_ref() {
            self.ledger.take(data.len())?;
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
