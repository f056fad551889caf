//! The calls of the protocol's service.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use prost::Message;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::budget::Ledger;
use super::generated::inference as proto;
use super::generated::inference::grpc_inference_service_server::GrpcInferenceService;
use super::{message, status};
use crate::app::App;
use crate::http::Visit;
use crate::inference_service::{Errand, blocking};
use crate::model_repository::Slot;
use crate::open_inference::{self, describe, repository, statistics};
use crate::problem::Problem;

type Outcome<T> = Result<Response<T>, Status>;

/// The service.
pub struct Inference(pub Arc<App>);

impl Inference {
    fn slot(&self, name: &str) -> Result<Arc<Slot>, Status> {
        self.0.catalogue.slot(Some(name)).map_err(status)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<proto::ModelStreamInferResponse, Status>> + Send>>;

    async fn server_live(
        &self,
        _: Request<proto::ServerLiveRequest>,
    ) -> Outcome<proto::ServerLiveResponse> {
        Ok(Response::new(proto::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<proto::ServerReadyRequest>,
    ) -> Outcome<proto::ServerReadyResponse> {
        let ready = self.0.catalogue.is_ready();
        Ok(Response::new(proto::ServerReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<proto::ServerMetadataRequest>,
    ) -> Outcome<proto::ServerMetadataResponse> {
        Ok(Response::new(proto::ServerMetadataResponse {
            name: describe::SERVER.to_owned(),
            version: describe::VERSION.to_owned(),
            extensions: describe::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    /// A model that is not known is not ready.
    async fn model_ready(
        &self,
        request: Request<proto::ModelReadyRequest>,
    ) -> Outcome<proto::ModelReadyResponse> {
        let asked = request.into_inner();
        let slot = self.0.catalogue.slot(Some(&asked.name));
        let served = slot.and_then(|slot| open_inference::served(&slot, Some(&asked.version)));
        let ready = served.is_ok();
        Ok(Response::new(proto::ModelReadyResponse { ready }))
    }

    async fn model_metadata(
        &self,
        request: Request<proto::ModelMetadataRequest>,
    ) -> Outcome<proto::ModelMetadataResponse> {
        let asked = request.into_inner();
        let slot = self.slot(&asked.name)?;
        let metadata = describe::metadata(&slot, Some(&asked.version)).map_err(status)?;
        Ok(Response::new(metadata.into()))
    }

    async fn model_config(
        &self,
        request: Request<proto::ModelConfigRequest>,
    ) -> Outcome<proto::ModelConfigResponse> {
        let asked = request.into_inner();
        let slot = self.slot(&asked.name)?;
        let config = describe::config(&self.0, &slot, Some(&asked.version)).map_err(status)?;
        let config = Some(config.into());
        Ok(Response::new(proto::ModelConfigResponse { config }))
    }

    async fn model_statistics(
        &self,
        request: Request<proto::ModelStatisticsRequest>,
    ) -> Outcome<proto::ModelStatisticsResponse> {
        let asked = request.into_inner();
        let all = match asked.name.as_str() {
            "" => statistics::all(&self.0),
            name => statistics::of(&*self.slot(name)?, Some(&asked.version)).map_err(status)?,
        };
        let model_stats = all.model_stats.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::ModelStatisticsResponse {
            model_stats,
        }))
    }

    async fn model_infer(
        &self,
        request: Request<proto::ModelInferRequest>,
    ) -> Outcome<proto::ModelInferResponse> {
        let (_, extensions, message) = request.into_parts();
        let errand = visit(&extensions)?.errand.clone();
        infer(&self.0, &errand, message)
            .await
            .map(Response::new)
            .map_err(status)
    }

    /// Answers in the order of the requests, one at a time; one that fails does not end the stream.
    async fn model_stream_infer(
        &self,
        request: Request<Streaming<proto::ModelInferRequest>>,
    ) -> Outcome<Self::ModelStreamInferStream> {
        let (_, extensions, messages) = request.into_parts();
        let call = Call {
            app: Arc::clone(&self.0),
            errand: visit(&extensions)?.errand.clone(),
            ledger: extensions.get::<Arc<Ledger>>().cloned(),
            messages,
        };
        let answers = try_unfold(call, |mut call| async move {
            let answer = call.next().await?;
            Ok(answer.map(|answer| (answer, call)))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn repository_index(
        &self,
        request: Request<proto::RepositoryIndexRequest>,
    ) -> Outcome<proto::RepositoryIndexResponse> {
        let entries = repository::index(&self.0, request.into_inner().ready);
        let models = entries.into_iter().map(Into::into).collect();
        Ok(Response::new(proto::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<proto::RepositoryModelLoadRequest>,
    ) -> Outcome<proto::RepositoryModelLoadResponse> {
        let asked = request.into_inner();
        let mut names = asked.parameters.keys();
        let overrides = names.any(|name| repository::is_override(name));
        let loaded = repository::load(&self.0, &asked.model_name, overrides).await;
        loaded.map_err(status)?;
        Ok(Response::new(proto::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<proto::RepositoryModelUnloadRequest>,
    ) -> Outcome<proto::RepositoryModelUnloadResponse> {
        let unloaded = repository::unload(&self.0, &request.into_inner().model_name).await;
        unloaded.map_err(status)?;
        Ok(Response::new(proto::RepositoryModelUnloadResponse {}))
    }
}

/// What the server's entry found out about the caller.
fn visit(extensions: &Extensions) -> Result<&Visit, Status> {
    let absent = || Status::internal("a call came past the entry");
    extensions.get::<Visit>().ok_or_else(absent)
}

async fn infer(
    app: &App,
    errand: &Errand,
    asked: proto::ModelInferRequest,
) -> Result<proto::ModelInferResponse, Problem> {
    let slot = app.catalogue.slot(Some(&asked.model_name))?;
    let version = asked.model_version.clone();
    let request = message::request(asked)?;
    let answer = open_inference::infer(app, &slot, Some(&version), errand, request).await?;
    blocking(move || message::response(answer)).await
}

/// A stream of requests being answered.
struct Call {
    app: Arc<App>,
    errand: Errand,
    ledger: Option<Arc<Ledger>>,
    messages: Streaming<proto::ModelInferRequest>,
}

impl Call {
    async fn next(&mut self) -> Result<Option<proto::ModelStreamInferResponse>, Status> {
        let Some(asked) = self.messages.message().await? else {
            return Ok(None);
        };
        let (id, held) = (asked.id.clone(), asked.encoded_len());
        // A stream lives as long as its client wants; each of its requests has the whole time.
        let patience = self.app.config.limits.request_timeout;
        self.errand.deadline = tokio::time::Instant::now() + patience;
        let outcome = infer(&self.app, &self.errand, asked).await;
        if let Some(ledger) = &self.ledger {
            ledger.release(held);
        }
        let (error_message, mut response) = match outcome {
            Ok(response) => (String::new(), response),
            Err(problem) => (problem.detail, proto::ModelInferResponse::default()),
        };
        response.id = id;
        response.parameters = last_of_its_request();
        Ok(Some(proto::ModelStreamInferResponse {
            error_message,
            infer_response: Some(response),
        }))
    }
}

/// Triton's clients count answers per request by this word: here each has one.
fn last_of_its_request() -> HashMap<String, proto::InferParameter> {
    let yes = proto::infer_parameter::ParameterChoice::BoolParam(true);
    let parameter = proto::InferParameter {
        parameter_choice: Some(yes),
    };
    HashMap::from([("triton_final_response".to_owned(), parameter)])
}
