//! The Open Inference Protocol v2 over gRPC, and gRPC's own health service.
//!
//! The protocol's meaning is in [`crate::open_inference`]; here are only messages, statuses and
//! streams.

mod bounds;
mod codec;
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod generated;
mod health;
mod message;
mod metered_body;
mod service;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use tonic::service::Routes;

use crate::app::App;
use generated::health::health_server::HealthServer;
use generated::inference::grpc_inference_service_server::GrpcInferenceServiceServer;

/// Everything that is answered over gRPC. Unknown calls get gRPC's own status.
pub fn router(app: Arc<App>) -> Router {
    let inference = service::InferenceGrpc(Arc::clone(&app));
    let limit = app.config.limits.body_bytes;
    let inference = GrpcInferenceServiceServer::new(inference).max_decoding_message_size(limit);
    let health = HealthServer::new(health::Health(Arc::clone(&app)));
    Routes::new(inference)
        .add_service(health)
        .into_axum_router()
        .layer(from_fn_with_state(app, metered_body::layer))
}

/// Decodes a request for inference as the codec does; whether it is one.
pub fn decode_infer_request(bytes: Bytes) -> bool {
    let decoded = codec::decode::<generated::inference::ModelInferRequest>(bytes);
    decoded.is_ok_and(|request| message::request(request).is_ok())
}
