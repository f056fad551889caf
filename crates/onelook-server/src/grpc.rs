//! To come.

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// Routes.
pub fn router(_app: Arc<App>) -> Router {
    Router::new()
}
