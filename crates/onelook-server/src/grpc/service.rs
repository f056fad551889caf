//! The calls of the inference service.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::generated::inference as proto;
use super::generated::inference::grpc_inference_service_server::GrpcInferenceService;
use super::message;
use super::metered_body::CallMemory;
use super::status::status;
use crate::app::App;
use crate::auth::{self, Scope};
use crate::blocking::blocking;
use crate::model_repository::ModelEntry;
use crate::open_inference::{self, describe, repository, statistics};
use crate::problem::Problem;
use crate::request_context::RequestContext;

type Outcome<T> = Result<Response<T>, Status>;

/// The service.
pub struct InferenceGrpc(pub Arc<App>);

impl InferenceGrpc {
    fn entry(&self, name: &str) -> Result<Arc<ModelEntry>, Status> {
        self.0.models.find(Some(name)).map_err(status)
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for InferenceGrpc {
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
        let ready = self.0.models.is_ready();
        Ok(Response::new(proto::ServerReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<proto::ServerMetadataRequest>,
    ) -> Outcome<proto::ServerMetadataResponse> {
        Ok(Response::new(proto::ServerMetadataResponse {
            name: describe::SERVER_NAME.to_owned(),
            version: describe::SERVER_VERSION.to_owned(),
            extensions: describe::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    /// An unknown model is not ready.
    async fn model_ready(
        &self,
        request: Request<proto::ModelReadyRequest>,
    ) -> Outcome<proto::ModelReadyResponse> {
        let message = request.into_inner();
        let entry = self.0.models.find(Some(&message.name));
        let loaded =
            entry.and_then(|entry| open_inference::loaded_version(&entry, Some(&message.version)));
        let ready = loaded.is_ok();
        Ok(Response::new(proto::ModelReadyResponse { ready }))
    }

    async fn model_metadata(
        &self,
        request: Request<proto::ModelMetadataRequest>,
    ) -> Outcome<proto::ModelMetadataResponse> {
        let message = request.into_inner();
        let entry = self.entry(&message.name)?;
        let metadata = describe::metadata(&entry, Some(&message.version)).map_err(status)?;
        Ok(Response::new(metadata.into()))
    }

    async fn model_config(
        &self,
        request: Request<proto::ModelConfigRequest>,
    ) -> Outcome<proto::ModelConfigResponse> {
        let message = request.into_inner();
        let entry = self.entry(&message.name)?;
        let config = describe::config(&self.0, &entry, Some(&message.version)).map_err(status)?;
        let config = Some(config.into());
        Ok(Response::new(proto::ModelConfigResponse { config }))
    }

    async fn model_statistics(
        &self,
        request: Request<proto::ModelStatisticsRequest>,
    ) -> Outcome<proto::ModelStatisticsResponse> {
        let message = request.into_inner();
        let all = match message.name.as_str() {
            "" => statistics::all(&self.0),
            name => statistics::of(&*self.entry(name)?, Some(&message.version)).map_err(status)?,
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
        infer(&self.0, request_context(&extensions)?, message)
            .await
            .map(Response::new)
            .map_err(status)
    }

    /// Answers one request after the other, in order. One that fails does not end the stream; a token that
    /// is not accepted any more does.
    async fn model_stream_infer(
        &self,
        request: Request<Streaming<proto::ModelInferRequest>>,
    ) -> Outcome<Self::ModelStreamInferStream> {
        let (metadata, extensions, messages) = request.into_parts();
        let headers = metadata.into_headers();
        let stream = InferStream {
            token: auth::presented(&headers).as_deref().map(Box::from),
            app: Arc::clone(&self.0),
            context: request_context(&extensions)?.clone(),
            memory: extensions.get::<Arc<CallMemory>>().cloned(),
            messages,
        };
        let responses = try_unfold(stream, |mut stream| async move {
            let response = stream.next().await?;
            Ok(response.map(|response| (response, stream)))
        });
        Ok(Response::new(Box::pin(responses)))
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
        let message = request.into_inner();
        let mut names = message.parameters.keys();
        let overrides = names.any(|name| repository::is_override(name));
        let loaded = repository::load(&self.0, &message.model_name, overrides).await;
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

/// The context that the HTTP middleware made.
fn request_context(extensions: &Extensions) -> Result<&RequestContext, Status> {
    let absent = || Status::internal("a call has no request context");
    extensions.get::<RequestContext>().ok_or_else(absent)
}

async fn infer(
    app: &App,
    context: &RequestContext,
    message: proto::ModelInferRequest,
) -> Result<proto::ModelInferResponse, Problem> {
    // The message is there now.
    let mut context = context.clone();
    context.restart();
    let entry = app.models.find(Some(&message.model_name))?;
    let version = message.model_version.clone();
    let request = message::request(message)?;
    let response = open_inference::infer(app, &entry, Some(&version), &context, request).await?;
    blocking(move || message::response(response)).await
}

/// An open stream of requests.
struct InferStream {
    /// The token that it was opened with.
    token: Option<Box<str>>,
    app: Arc<App>,
    context: RequestContext,
    memory: Option<Arc<CallMemory>>,
    messages: Streaming<proto::ModelInferRequest>,
}

impl InferStream {
    async fn next(&mut self) -> Result<Option<proto::ModelStreamInferResponse>, Status> {
        let Some(message) = self.messages.message().await? else {
            return Ok(None);
        };
        let (tokens, token) = (self.app.tokens(), self.token.as_deref());
        let known = self.context.authenticate(&tokens, token, Scope::Infer);
        known.map_err(status)?;
        let id = message.id.clone();
        // A stream lasts as long as its client wants: the time limit is for each of its requests.
        self.context.time_limit = self.app.config.limits.request_timeout;
        let outcome = infer(&self.app, &self.context, message).await;
        if let Some(memory) = &self.memory {
            memory.release_message();
        }
        let (error_message, mut response) = match outcome {
            Ok(response) => (String::new(), response),
            Err(problem) => (problem.detail, proto::ModelInferResponse::default()),
        };
        response.id = id;
        response.parameters = final_response();
        Ok(Some(proto::ModelStreamInferResponse {
            error_message,
            infer_response: Some(response),
        }))
    }
}

/// Triton's clients read from this parameter that a request has no further response.
fn final_response() -> HashMap<String, proto::InferParameter> {
    let yes = proto::infer_parameter::ParameterChoice::BoolParam(true);
    let parameter = proto::InferParameter {
        parameter_choice: Some(yes),
    };
    HashMap::from([("triton_final_response".to_owned(), parameter)])
}
