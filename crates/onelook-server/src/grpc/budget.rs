//! Accounts for gRPC messages in the budget for bodies while they arrive, and limits their time.
//!
//! tonic collects messages by itself, so its source is wrapped: every chunk is accounted for before
//! it is passed on, until the call that it belongs to has been answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::status::status;
use crate::app::App;
use crate::body_budget::BudgetShare;

/// Wraps a call's body. The call's handler finds the [`BudgetShare`] in the extensions.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_stream = request.uri().path().ends_with("/ModelStreamInfer");
    let limit = app.config.limits.body_timeout;
    let share = Arc::new(app.body_budget.share());
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Arc::clone(&share));
    let metered = MeteredBody {
        body,
        share: Arc::clone(&share),
        timeout: (!is_stream).then(|| Box::pin(tokio::time::sleep(limit))),
    };
    let response = next.run(Request::from_parts(parts, Body::new(metered)));
    let response = response.await;
    // Held to this point, whatever the handler does with the extensions.
    drop(share);
    response
}

/// A call's messages as they arrive.
struct MeteredBody {
    body: Body,
    share: Arc<BudgetShare>,
    /// When a single message must have arrived; streams may pause.
    timeout: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(timeout) = &mut self.timeout
            && timeout.as_mut().poll(context).is_ready()
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
            self.share.grow(data.len()).map_err(status)?;
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
