//! The last requests that failed and the slowest of the last minutes, for the Monitor page. Keeps
//! what the access log says of them and the error's text: no headers, no queries, no bodies, no
//! addresses.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::Method;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::locks::lock;
use crate::problem::Problem;

/// Length of each list.
const CAPACITY: usize = 20;

/// How long a slow request is kept.
const SLOW_KEPT_MS: u64 = 10 * 60 * 1000;

/// Letters of a path and of a text that are kept.
const MAX_LETTERS: usize = 300;

/// Requests that watch the server. The lists are about the work, not about those who look at it.
const WATCHING: [&str; 6] = [
    "/v1/status",
    "/v1/status/history",
    "/metrics",
    "/livez",
    "/readyz",
    "/favicon.ico",
];

/// A finished request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RequestRecord {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its id, as in the header `x-request-id` and in the log.
    pub request_id: String,
    /// Its method.
    #[schema(example = "POST")]
    pub method: String,
    /// Its path, without the query.
    #[schema(example = "/v1/detect")]
    pub path: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// Milliseconds from its headers to those of the response.
    pub ms: f64,
    /// What went wrong; null if nothing did.
    pub detail: Option<String>,
}

/// The two lists.
#[derive(Debug, Default)]
pub struct RecentRequests {
    errors: Mutex<VecDeque<RequestRecord>>,
    slow: Mutex<Vec<RequestRecord>>,
}

impl RecentRequests {
    /// Looks at a response, before a problem in it is given the form of a protocol.
    pub fn record(
        &self,
        method: &Method,
        path: &str,
        response: &Response,
        time: Duration,
        id: &str,
    ) {
        if WATCHING.contains(&path) || path.starts_with("/v2/health/") {
            return;
        }
        let detail = detail(response);
        let failed = detail.is_some() || response.status().as_u16() >= 400;
        let changes_models = path.ends_with("/load") || path.ends_with("/unload");
        let runs_models = *method == Method::POST && !changes_models;
        if !failed && !runs_models {
            return;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let record = RequestRecord {
            at_ms: since_1970.map_or(0, |time| time.as_millis() as u64),
            request_id: id.to_owned(),
            method: cut(method.as_str()),
            path: cut(path),
            status: response.status().as_u16(),
            ms: (time.as_secs_f64() * 1e5).round() / 1e2,
            detail: detail.map(|text| cut(&text)),
        };
        if failed {
            let mut errors = lock(&self.errors);
            if errors.len() == CAPACITY {
                errors.pop_front();
            }
            errors.push_back(record.clone());
        }
        if runs_models {
            keep_slowest(&mut lock(&self.slow), record);
        }
    }

    /// The last requests that failed, the latest first.
    pub fn errors(&self) -> Vec<RequestRecord> {
        lock(&self.errors).iter().rev().cloned().collect()
    }

    /// The slowest requests of the last ten minutes, the slowest first.
    pub fn slowest(&self) -> Vec<RequestRecord> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
        let mut slow = lock(&self.slow);
        slow.retain(|kept| now_ms.saturating_sub(kept.at_ms) <= SLOW_KEPT_MS);
        slow.clone()
    }
}

/// Puts a record into the list, which is sorted, unless it is full of slower ones.
fn keep_slowest(slow: &mut Vec<RequestRecord>, record: RequestRecord) {
    slow.retain(|kept| record.at_ms.saturating_sub(kept.at_ms) <= SLOW_KEPT_MS);
    let place = slow.partition_point(|kept| kept.ms >= record.ms);
    slow.insert(place, record);
    slow.truncate(CAPACITY);
}

/// What went wrong, in HTTP or in gRPC.
fn detail(response: &Response) -> Option<String> {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Some(problem.detail.clone());
    }
    let status = tonic::Status::from_header_map(response.headers())?;
    (status.code() != tonic::Code::Ok).then(|| status.message().to_owned())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;

    fn record(recent: &RecentRequests, path: &str, response: Response, ms: u64) {
        recent.record(
            &Method::POST,
            path,
            &response,
            Duration::from_millis(ms),
            "id",
        );
    }

    #[test]
    fn the_last_errors_are_kept_with_their_texts() {
        let recent = RecentRequests::default();
        for number in 0..50 {
            let problem = Problem::bad_request(format!("number {number}"));
            record(&recent, "/v1/detect", problem.into_response(), 1);
        }
        let errors = recent.errors();
        assert_eq!(errors.len(), CAPACITY);
        assert_eq!(errors[0].detail.as_deref(), Some("number 49"));
        assert_eq!(errors[0].status, 400);
    }

    #[test]
    fn the_slowest_requests_are_kept_in_order() {
        let recent = RecentRequests::default();
        for ms in [5, 90, 7].into_iter().chain(10..50) {
            record(&recent, "/v1/detect", StatusCode::OK.into_response(), ms);
        }
        let times: Vec<f64> = recent.slowest().iter().map(|kept| kept.ms).collect();
        assert_eq!(times.len(), CAPACITY);
        assert_eq!(times[..3], [90.0, 49.0, 48.0]);
        assert!(recent.errors().is_empty());
    }

    #[test]
    fn those_who_watch_and_the_loading_of_models_are_left_out() {
        let recent = RecentRequests::default();
        let refused = || StatusCode::SERVICE_UNAVAILABLE.into_response();
        record(&recent, "/v1/status", refused(), 10);
        record(&recent, "/readyz", refused(), 10);
        record(
            &recent,
            "/v1/models/a/load",
            StatusCode::OK.into_response(),
            10,
        );
        assert!(recent.errors().is_empty() && recent.slowest().is_empty());
    }

    #[test]
    fn a_failed_call_of_grpc_is_an_error() {
        let recent = RecentRequests::default();
        let response = tonic::Status::not_found("no such model").into_http();
        record(
            &recent,
            "/inference.GRPCInferenceService/ModelInfer",
            response,
            3,
        );
        assert_eq!(recent.errors()[0].detail.as_deref(), Some("no such model"));
    }
}
