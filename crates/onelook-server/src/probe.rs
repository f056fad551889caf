//! Whether the server's threads answer, asked from inside the process.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use tower::ServiceExt;

/// Asks for liveness without a connection, and without a line in the log.
#[derive(Clone)]
pub struct Probe(Router);

impl Probe {
    pub(crate) fn new(router: Router) -> Self {
        Self(router)
    }

    /// Whether an answer comes within this time.
    pub async fn answers(&self, limit: Duration) -> bool {
        let request = Request::get("/livez").body(Body::empty());
        let request = request.expect("the path is valid");
        let answer = tokio::time::timeout(limit, self.0.clone().oneshot(request)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
    }
}
