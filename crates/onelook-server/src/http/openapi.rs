//! `/openapi.json`: what this server answers, for programs (OpenAPI 3.1). The page `/docs` shows it
//! to people.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Modify, OpenApi};

use super::{deepstack, detect, health, models, status};
use crate::app::App;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(document))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "onelook",
        description = "Object detection with YOLO models. Pictures go in over HTTP, boxes come out.\n\n\
            The Open Inference Protocol v2 is spoken too, under `/v2` and over gRPC, for the raw \
            network; its own description holds for it.\n\n\
            Headers that every request may carry: `x-request-id` (comes back, and stands in the log), \
            `x-priority` (high, normal or low), `x-timeout-ms` (after which an answer is of no use).",
    ),
    paths(
        detect::detect,
        models::list,
        models::one,
        models::load,
        models::unload,
        status::status,
        health::live,
        health::ready,
        health::metrics,
        deepstack::detection,
        deepstack::custom,
        deepstack::list,
        deepstack::list_by_get,
        deepstack::ping,
        deepstack::ping_by_post,
    ),
    components(schemas(detect::DetectJson, detect::DetectForm, detect::PictureBytes)),
    tags(
        (name = "detect", description = "Pictures in, boxes out."),
        (name = "models", description = "Which models there are; loading and unloading them."),
        (name = "server", description = "How the server is doing."),
        (name = "deepstack", description = "What clients of DeepStack and CodeProject.AI speak."),
    ),
    modifiers(&Server, &Form),
)]
struct Api;

/// What the macros do not say: relative addresses, and tokens.
struct Server;

impl Modify for Server {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        api.servers = Some(vec![utoipa::openapi::Server::new("/")]);
        let components = api.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Only where the server was started with tokens."));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let key =
            ApiKeyValue::with_description("X-API-Key", "The same token in a header of its own.");
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key)));
        let one_of = |name: &str| {
            utoipa::openapi::SecurityRequirement::new::<&str, [&str; 0], &str>(name, [])
        };
        let none = utoipa::openapi::SecurityRequirement::default();
        api.security = Some(vec![none, one_of("bearer"), one_of("key")]);
    }
}

/// A form's fields are the parameters of the query: described once, and copied.
struct Form;

impl Modify for Form {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let operation = api
            .paths
            .paths
            .get("/v1/detect")
            .and_then(|path| path.post.as_ref());
        let parameters = operation.and_then(|operation| operation.parameters.clone());
        let form = api
            .components
            .as_mut()
            .and_then(|components| components.schemas.get_mut("DetectForm"));
        let Some(RefOr::T(Schema::Object(form))) = form else {
            return;
        };
        for parameter in parameters.into_iter().flatten() {
            if let Some(schema) = parameter.schema {
                form.properties.insert(parameter.name, schema);
            }
        }
    }
}

/// The document, written once.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let api = Api::openapi();
    api.to_pretty_json().unwrap_or_default()
});

async fn document() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_as_reviewed() {
        insta::assert_snapshot!("openapi", DOCUMENT.as_str());
    }

    #[test]
    fn every_parameter_is_described_in_every_form_and_none_that_is_not_read() {
        let api: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
        let members = |schema: &str, pictures: &[&str]| {
            let schema = &api["components"]["schemas"][schema];
            let names = schema["properties"].as_object().unwrap().keys();
            let mut names: Vec<String> = names.cloned().collect();
            names.retain(|name| !pictures.contains(&name.as_str()));
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
