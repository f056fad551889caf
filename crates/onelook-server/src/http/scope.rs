//! Which scope a request needs, by its method and path.

use axum::http::Method;

use crate::auth::Scope;

/// The scope that a path requires; none for health and for the files of the Web UI.
pub fn required_scope(method: &Method, path: &str) -> Option<Scope> {
    const RPC: &str = "/inference.GRPCInferenceService/";
    let is_open = matches!(path, "/" | "/livez" | "/readyz" | "/docs" | "/favicon.ico")
        || path.starts_with("/ui/")
        || path.starts_with("/problems/")
        || path.starts_with("/v2/health/")
        || path.starts_with("/grpc.health.v1.Health/")
        || matches!(path.strip_prefix(RPC), Some("ServerLive" | "ServerReady"));
    if is_open {
        return None;
    }
    // Ahead of the exception for OPTIONS: gRPC's routes do not look at the method.
    if let Some(call) = path.strip_prefix(RPC) {
        return Some(match call {
            "ModelInfer" | "ModelStreamInfer" => Scope::Infer,
            "RepositoryModelLoad" | "RepositoryModelUnload" => Scope::Admin,
            _ => Scope::Read,
        });
    }
    if *method == Method::OPTIONS {
        return None;
    }
    let ends = |word| path.ends_with(word);
    if let Some(rest) = path.strip_prefix("/v1/streams") {
        return Some(stream_scope(method, rest));
    }
    Some(match *method {
        Method::GET | Method::HEAD => Scope::Read,
        _ if ends("/load") || ends("/unload") => Scope::Admin,
        _ if path == "/v2/repository/index" => Scope::Read,
        _ => Scope::Infer,
    })
}

/// Of `/v1/streams`: images of cameras are for those who may run models, changes for administrators.
fn stream_scope(method: &Method, rest: &str) -> Scope {
    let is_image = ["/live", "/mjpeg", "/snapshot.jpg", "/heatmap.png"]
        .iter()
        .any(|end| rest.ends_with(end));
    match *method {
        Method::GET | Method::HEAD if !is_image => Scope::Read,
        // A WebSocket over HTTP/2.
        Method::GET | Method::HEAD | Method::CONNECT => Scope::Infer,
        _ => Scope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_models_needs_a_higher_scope_than_reading() {
        let cases = [
            ("GET", "/livez", None),
            ("GET", "/v2/health/ready", None),
            ("GET", "/ui/app.js", None),
            ("GET", "/problems/timeout", None),
            ("GET", "/v1/models", Some(Scope::Read)),
            ("GET", "/metrics", Some(Scope::Read)),
            ("POST", "/v1/detect", Some(Scope::Infer)),
            ("POST", "/v2/models/a/infer", Some(Scope::Infer)),
            ("POST", "/v2/repository/index", Some(Scope::Read)),
            ("POST", "/v2/repository/models/a/load", Some(Scope::Admin)),
            ("POST", "/v1/models/a/unload", Some(Scope::Admin)),
            ("POST", "/inference.GRPCInferenceService/ServerLive", None),
            ("POST", "/grpc.health.v1.Health/Check", None),
            (
                "POST",
                "/inference.GRPCInferenceService/RepositoryModelLoad",
                Some(Scope::Admin),
            ),
            (
                "POST",
                "/inference.GRPCInferenceService/ModelInfer",
                Some(Scope::Infer),
            ),
            (
                "OPTIONS",
                "/inference.GRPCInferenceService/RepositoryModelUnload",
                Some(Scope::Admin),
            ),
            ("OPTIONS", "/v1/detect", None),
            ("GET", "/v1/streams", Some(Scope::Read)),
            ("GET", "/v1/streams/a/events", Some(Scope::Read)),
            ("GET", "/v1/streams/live", Some(Scope::Infer)),
            ("CONNECT", "/v1/streams/live", Some(Scope::Infer)),
            ("GET", "/v1/streams/a/mjpeg", Some(Scope::Infer)),
            ("GET", "/v1/streams/a/snapshot.jpg", Some(Scope::Infer)),
            ("GET", "/v1/streams/a/heatmap.png", Some(Scope::Infer)),
            (
                "GET",
                "/v1/streams/a/events/1/snapshot.jpg",
                Some(Scope::Infer),
            ),
            ("POST", "/v1/streams", Some(Scope::Admin)),
            ("PATCH", "/v1/streams/a", Some(Scope::Admin)),
            ("DELETE", "/v1/streams/live", Some(Scope::Admin)),
        ];
        for (method, path, scope) in cases {
            let method: Method = method.parse().unwrap();
            assert_eq!(required_scope(&method, path), scope, "{path}");
        }
    }
}
