//! The health service of gRPC: the server as a whole by the empty name, a model by its own.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::generated::health::health_check_response::ServingStatus;
use super::generated::health::{HealthCheckRequest, HealthCheckResponse, health_server};
use super::status;
use crate::app::App;

/// Name of the service that models are asked by.
const INFERENCE: &str = "inference.GRPCInferenceService";

/// The service.
pub struct Health(pub Arc<App>);

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let serves = match request.into_inner().service.as_str() {
            "" | INFERENCE => self.0.catalogue.is_ready(),
            model => {
                let slot = self.0.catalogue.slot(Some(model)).map_err(status)?;
                slot.served().is_ok()
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
