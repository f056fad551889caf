//! gRPC health service: the empty name asks for the whole server, a model's name for that model.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::generated::health::health_check_response::ServingStatus;
use super::generated::health::{HealthCheckRequest, HealthCheckResponse, health_server};
use super::status::status;
use crate::app::App;

/// Name of the inference service; as ready as the whole server.
const INFERENCE: &str = "inference.GRPCInferenceService";

/// The service.
pub struct Health(pub Arc<App>);

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        let serves = match request.into_inner().service.as_str() {
            "" | INFERENCE => self.0.models.is_ready(),
            _ if self.0.is_stranger(&headers) => {
                let detail = "the health of a model is told only with a token";
                return Err(Status::unauthenticated(detail));
            }
            model => {
                let entry = self.0.models.find(Some(model)).map_err(status)?;
                entry.loaded().is_ok()
            }
        };
        let said = match serves {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        Ok(Response::new(HealthCheckResponse {
            status: said.into(),
        }))
    }
}
