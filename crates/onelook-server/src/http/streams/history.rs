//! `/v1/streams/NAME/history`: what was counted over time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{find, query_of};
use crate::app::App;
use crate::http::schema::int64;
use crate::problem::Problem;
use crate::streams::count_history::{HistorySample, Resolution};

/// Which intervals are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CountHistoryQuery {
    /// How long an interval is: minute, kept for 24 hours, or hour, for 30 days; minute if absent.
    #[param(example = "minute")]
    interval: Option<String>,
    /// Only those that began later than this, in seconds since 1970.
    #[serde(default, deserialize_with = "int64")]
    after: Option<u64>,
}

/// What was counted over time.
#[derive(Serialize, ToSchema)]
pub struct StreamCountHistory {
    /// Seconds of an interval.
    interval_s: u64,
    /// The intervals, the oldest first; those without a frame are missing.
    samples: Vec<HistorySample>,
}

/// What was counted over time.
#[utoipa::path(
    get, path = "/v1/streams/{name}/history", tag = "streams", operation_id = "streamHistory",
    summary = "Counts of a stream over time",
    description = "Kept in memory. A stream that is removed, and a server that ends, forget it.",
    params(("name" = String, Path, description = "The stream's name.", example = "gate"), CountHistoryQuery),
    responses(
        (status = 200, description = "Crossings and occupancy by interval.", body = StreamCountHistory),
        (status = 400), (status = 401), (status = 404, description = "There is no such stream."),
    )
)]
pub async fn count_history(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<CountHistoryQuery>, QueryRejection>,
) -> Result<Json<StreamCountHistory>, Problem> {
    let query = query_of(query)?;
    let resolution = match query.interval.as_deref() {
        None | Some("minute") => Resolution::Minute,
        Some("hour") => Resolution::Hour,
        Some(_) => return Err(Problem::bad_request("interval: expected minute or hour")),
    };
    let entry = find(&app, name)?;
    Ok(Json(StreamCountHistory {
        interval_s: resolution.seconds(),
        samples: entry.history().samples(resolution, query.after),
    }))
}
