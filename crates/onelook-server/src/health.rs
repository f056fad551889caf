//! Asks a running server whether it is alive or ready, as health checks of containers do.

use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};

use crate::http_client::connect;
use crate::http_client::url::Target;

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The status of its answer: 200 where all is well.
    pub status: u16,
    /// Its answer, as text.
    pub answer: String,
}

/// Asks `url` within so much time. Of a server on this computer any certificate is taken: nothing secret
/// is sent, and its certificate is for another name than the loopback address.
///
/// # Errors
/// The URL is none, the server cannot be reached, or it does not answer in time; the text says which.
pub async fn ask(url: &str, timeout: Duration) -> Result<Health, String> {
    let target = Target::parse(url).map_err(|problem| problem.detail)?;
    let asked = tokio::time::timeout(timeout, ask_target(&target)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs_f64())))
}

async fn ask_target(target: &Target) -> Result<Health, String> {
    let addresses = tokio::net::lookup_host((target.host(), target.port())).await;
    let addresses = addresses.map_err(|error| error.to_string())?;
    let mut reason = "its name has no address";
    for address in addresses {
        let opened = match address.ip().is_loopback() {
            true => connect::open_unverified(target, address).await,
            false => connect::open(target, address).await,
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(why) => {
                reason = why;
                continue;
            }
        };
        let request = Request::get(target.path())
            .header(header::HOST, target.authority())
            .header(
                header::USER_AGENT,
                concat!("onelook/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = connection.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status: StatusCode = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        return Ok(Health {
            status: status.as_u16(),
            answer: String::from_utf8_lossy(&body).trim().to_owned(),
        });
    }
    Err(reason.to_owned())
}
