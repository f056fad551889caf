//! To come.

use tokio::time::Instant;

use crate::app::App;
use crate::body::Held;
use crate::problem::{Kind, Problem};

/// Fetches a picture.
pub async fn picture<'a>(app: &'a App, url: &str, deadline: Instant) -> Result<Held<'a>, Problem> {
    let _ = (app, url, deadline);
    Err(Problem::new(Kind::Forbidden, "not yet"))
}
