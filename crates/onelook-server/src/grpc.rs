//! The Open Inference Protocol v2 over gRPC, and the health service of gRPC itself.
//!
//! What it means is in [`crate::open_inference`]; here are only messages, statuses and streams.

mod budget;
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod generated;
mod health;
mod message;
mod service;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::app::App;
use crate::problem::Problem;
use generated::health::health_server::HealthServer;
use generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;

/// Everything that is answered over gRPC; unknown calls get that protocol's own refusal.
pub fn router(app: Arc<App>) -> Router {
    let inference = service::Inference(Arc::clone(&app));
    let most = app.config.limits.body_bytes;
    let inference = GrpcInferenceServiceServer::new(inference).max_decoding_message_size(most);
    let health = HealthServer::new(health::Health(Arc::clone(&app)));
    Routes::new(inference)
        .add_service(health)
        .into_axum_router()
        .layer(from_fn_with_state(app, budget::layer))
}

/// A refusal in the words of gRPC, with the time after which its clients should try again.
fn status(problem: Problem) -> Status {
    let mut status = Status::new(problem.kind.code(), problem.detail);
    let pause = problem
        .retry_after
        .filter(|_| retryable(problem.kind.code()));
    if let Some(pause) = pause {
        let pause = MetadataValue::from(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        status
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", pause);
    }
    status
}

fn retryable(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded
    )
}
