//! `/openapi.json`: the description of the HTTP API (OpenAPI 3.1), which the page `/docs` shows.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Ref, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, RefOr, Required, Schema};
use utoipa::{Modify, OpenApi};

use super::static_file::StaticFile;
use super::{deepstack, detect, health, models, open_inference, status, streams, videos};
use crate::app::App;
use crate::problem::ProblemBody;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(document))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "onelook",
        description = "Object detection with YOLO models: images in over HTTP, boxes out.\n\n\
            The server also speaks the Open Inference Protocol v2, under `/v2` and over gRPC, for \
            tensors in and the network's raw output out.\n\n\
            Headers that every request may have: `x-request-id` (repeated in the response and in \
            the log), `x-priority` (high, normal or low), `x-timeout-ms` (after which the client no \
            longer waits for the response).\n\n\
            Bodies may be compressed (`Content-Encoding`: gzip, deflate or zstd). JSON and other \
            text is sent as gzip to clients that accept it.",
    ),
    paths(
        detect::detect,
        models::list,
        models::one,
        models::load,
        models::unload,
        status::status,
        status::history::history,
        streams::list,
        streams::add,
        streams::live,
        streams::one,
        streams::change,
        streams::remove,
        streams::snapshot,
        streams::mjpeg,
        streams::events,
        streams::all_events,
        streams::event_snapshot,
        streams::count_history,
        streams::heatmap,
        videos::add,
        videos::list,
        videos::one,
        videos::remove,
        videos::results,
        health::live,
        health::ready,
        health::metrics,
        deepstack::detection,
        deepstack::custom,
        deepstack::list,
        deepstack::list_by_get,
        deepstack::ping,
        deepstack::ping_by_post,
        open_inference::server,
        open_inference::live,
        open_inference::ready,
        open_inference::models,
        open_inference::all_statistics,
        open_inference::metadata,
        open_inference::model_ready,
        open_inference::config,
        open_inference::model_statistics,
        open_inference::infer,
        open_inference::index,
        open_inference::load,
        open_inference::unload,
    ),
    components(schemas(
        detect::DetectJson,
        detect::DetectForm,
        detect::ImageBytes,
        deepstack::DeepStackError,
        open_inference::InferenceError,
        ProblemBody,
    )),
    tags(
        (name = "detect", description = "Images in, boxes out."),
        (name = "models", description = "List, describe, load and unload models."),
        (name = "streams", description = "Live streams: add, watch and count."),
        (name = "videos", description = "Video files: sent, run in the background, results by frame."),
        (name = "server", description = "Health, statistics and metrics."),
        (name = "deepstack", description = "The protocol of DeepStack and CodeProject.AI."),
        (name = "inference", description = "The Open Inference Protocol v2: tensors in, tensors out."),
    ),
    modifiers(&ServerAndTokens, &DetectParameters, &ModelVersions, &ProblemResponses),
)]
struct Api;

/// Adds what the macros do not know: the relative server URL, and tokens.
struct ServerAndTokens;

impl Modify for ServerAndTokens {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        api.servers = Some(vec![utoipa::openapi::Server::new("/")]);
        let components = api.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Only if the server was started with tokens."));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let key = ApiKeyValue::with_description("X-API-Key", "The same token in another header.");
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        let one_of = |name: &str| {
            utoipa::openapi::SecurityRequirement::new::<&str, [&str; 0], &str>(name, [])
        };
        let none = utoipa::openapi::SecurityRequirement::default();
        api.security = Some(vec![none, one_of("bearer"), one_of("key")]);
    }
}

/// Copies the parameters of the query into the form and the JSON, where they mean the same. What is
/// declared there already has a type of its own.
struct DetectParameters;

impl Modify for DetectParameters {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let path = api.paths.paths.get("/v1/detect");
        let operation = path.and_then(|path| path.post.as_ref());
        let parameters = operation.and_then(|operation| operation.parameters.clone());
        let schemas = &mut api.components.get_or_insert_default().schemas;
        for body in ["DetectForm", "DetectJson"] {
            let Some(RefOr::T(Schema::Object(body))) = schemas.get_mut(body) else {
                continue;
            };
            for parameter in parameters.iter().flatten() {
                if let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema {
                    let mut schema = schema.clone();
                    schema.description.clone_from(&parameter.description);
                    let property = body.properties.entry(parameter.name.clone());
                    property.or_insert(RefOr::T(Schema::Object(schema)));
                }
            }
        }
    }
}

/// Gives the paths of a model in the Open Inference Protocol a twin that names its version.
struct ModelVersions;

impl Modify for ModelVersions {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        const MODEL: &str = "/v2/models/{model}";
        let paths = api.paths.paths.iter();
        let twins = paths.filter_map(|(path, item)| {
            let rest = path.strip_prefix(MODEL)?;
            Some((format!("{MODEL}/versions/{{version}}{rest}"), item.clone()))
        });
        for (path, mut item) in twins.collect::<Vec<_>>() {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                let version = ParameterBuilder::new()
                    .name("version")
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .description(Some("The version; `1` is the only one."))
                    .schema(Some(Object::with_type(Type::String)))
                    .example(Some(serde_json::json!("1")))
                    .build();
                operation.parameters.get_or_insert_default().push(version);
                if let Some(id) = &mut operation.operation_id {
                    id.push_str("OfVersion");
                }
            }
            api.paths.paths.insert(path, item);
        }
    }
}

/// Completes the responses with an error status that an operation lists: description, body, and the
/// header of those that can be retried.
struct ProblemResponses;

impl Modify for ProblemResponses {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut api.paths.paths {
            // As in the middleware, which writes these bodies.
            let (schema, content_type) = match path.as_str() {
                path if path.starts_with("/v1/vision/") => ("DeepStackError", "application/json"),
                path if path.starts_with("/v2") => ("InferenceError", "application/json"),
                _ => ("Problem", "application/problem+json"),
            };
            let operations = [
                &mut item.get,
                &mut item.post,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                for (status, response) in &mut operation.responses.responses {
                    let RefOr::T(response) = response else {
                        continue;
                    };
                    let standard = PROBLEMS.iter().find(|(known, _)| known == status);
                    let Some((_, description)) = standard.filter(|_| response.content.is_empty())
                    else {
                        continue;
                    };
                    if response.description.is_empty() {
                        (*description).clone_into(&mut response.description);
                    }
                    let content = Content::new(Some(Ref::from_schema_name(schema)));
                    response.content.insert(content_type.to_owned(), content);
                    if status == "415" {
                        let mut header = Header::new(Object::with_type(Type::String));
                        header.description =
                            Some("The encodings that are taken, if the body's is not.".to_owned());
                        let name = "accept-encoding".to_owned();
                        response.headers.insert(name, header);
                    }
                    if matches!(status.as_str(), "429" | "503") {
                        let mut header = Header::new(Object::with_type(Type::Integer));
                        header.description = Some("Seconds to wait, if known.".to_owned());
                        response.headers.insert("retry-after".to_owned(), header);
                    }
                }
            }
        }
    }
}

const PROBLEMS: [(&str, &str); 11] = [
    ("400", "A parameter, a header or the body is invalid."),
    ("401", "No token, or an unknown one."),
    ("403", "The token does not allow this."),
    (
        "404",
        "There is no such model; the response names the known ones.",
    ),
    ("406", "No format in Accept is available."),
    ("408", "The body arrived too slowly."),
    (
        "413",
        "The body or an image is too large, or there are too many images.",
    ),
    (
        "415",
        "The format of the body or of the image is not supported.",
    ),
    ("422", "The content of the body cannot be used."),
    ("429", "This client sends more than its share."),
    (
        "503",
        "The server is overloaded, or the model is not loaded.",
    ),
];

/// The document, written once.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let api = Api::openapi();
    api.to_pretty_json().unwrap_or_default()
});

static FILE: LazyLock<StaticFile> =
    LazyLock::new(|| StaticFile::new("application/json", DOCUMENT.as_str()));

async fn document(headers: HeaderMap) -> Response {
    FILE.response(&headers, "no-cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_as_reviewed() {
        insta::assert_snapshot!("openapi", DOCUMENT.as_str());
    }

    #[test]
    fn query_form_and_json_describe_the_same_parameters_as_are_parsed() {
        let api: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
        let members = |schema: &str, images: &[&str]| {
            let schema = &api["components"]["schemas"][schema];
            let names = schema["properties"].as_object().unwrap().keys();
            let mut names: Vec<String> = names.cloned().collect();
            names.retain(|name| !images.contains(&name.as_str()));
            names.sort();
            names
        };
        let query = &api["paths"]["/v1/detect"]["post"]["parameters"];
        let name = |parameter: &serde_json::Value| parameter["name"].as_str().unwrap().to_owned();
        let query: Vec<String> = query.as_array().unwrap().iter().map(name).collect();
        assert_eq!(query, detect::NAMES);
        let mut sorted = query;
        sorted.sort();
        assert_eq!(members("DetectForm", &["image"]), sorted);
        assert_eq!(members("DetectJson", &["image", "images"]), sorted);
    }
}
