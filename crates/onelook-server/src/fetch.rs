//! Pictures from addresses that requests name: public ones only, whatever names and redirects say.
//!
//! Names are resolved here, every address they resolve to must be public, and the connection goes to
//! the very address that was checked: a name that changes its mind finds nobody asking again.
//! Redirects begin anew. Never sends credentials, never reads more than the limits allow.

mod address;
mod connect;

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::BytesMut;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::body::{self, Held};
use crate::problem::{Kind, Problem};
use address::{Target, is_public};

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// Longest time for all of it, unless the request's own deadline comes first.
const LONGEST: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried.
const MAX_ATTEMPTS: usize = 3;

/// Fetches an encoded picture.
pub async fn picture<'a>(app: &'a App, url: &str, deadline: Instant) -> Result<Held<'a>, Problem> {
    if !app.config.allow_urls {
        let detail = "this server does not fetch addresses: send the picture itself, or start the \
                      server with --allow-urls";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let deadline = deadline.min(Instant::now() + LONGEST);
    let fetching = async {
        let response = Fetcher::new().get(url).await?;
        receive(app, response.into_body()).await
    };
    match timeout_at(deadline, fetching).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed("the address did not answer in time")),
    }
}

/// Reads a response's body within the limits of requests' bodies.
async fn receive<'a>(app: &'a App, mut body: Incoming) -> Result<Held<'a>, Problem> {
    let mut held = Held::empty();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| failed("the address broke off its answer"))?;
        if let Ok(data) = frame.into_data() {
            body::append(app, &mut held, &mut bytes, &data)?;
        }
    }
    held.bytes = bytes.freeze();
    Ok(held)
}

/// How names are resolved and which addresses may be asked; tests have their own.
struct Fetcher {
    resolve: Resolve,
    may_ask: fn(&SocketAddr) -> bool,
}

type Resolve = Box<dyn Fn(&str, u16) -> Resolving + Send + Sync>;
type Resolving = std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

impl Fetcher {
    fn new() -> Self {
        Self {
            resolve: Box::new(|host, port| {
                let host = host.to_owned();
                Box::pin(async move {
                    let found = tokio::net::lookup_host((host.as_str(), port)).await?;
                    Ok(found.collect())
                })
            }),
            may_ask: |address| is_public(address.ip()),
        }
    }

    /// The response at the end of the redirects.
    async fn get(&self, url: &str) -> Result<Response<Incoming>, Problem> {
        let mut target = Target::parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&target).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let next = response.headers().get(header::LOCATION);
            match next.map(HeaderValue::to_str) {
                Some(Ok(next)) if is_redirect(status) => target = target.join(next)?,
                _ => {
                    return Err(failed(&format!(
                        "the address answered with status {status}"
                    )));
                }
            }
        }
        Err(failed(&format!(
            "the address leads on more than {MAX_REDIRECTS} times"
        )))
    }

    /// One request, to an address that was checked just before.
    async fn ask(&self, target: &Target) -> Result<Response<Incoming>, Problem> {
        let addresses = self.addresses(target).await?;
        let mut connection = Err(failed("the address cannot be reached"));
        for address in addresses.into_iter().take(MAX_ATTEMPTS) {
            connection = connect::open(target, address).await;
            if connection.is_ok() {
                break;
            }
        }
        let request = Request::builder()
            .uri(target.path())
            .header(header::HOST, target.authority())
            .header(header::ACCEPT, "image/*")
            .header(
                header::USER_AGENT,
                concat!("onelook/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|_| failed("the address cannot be asked for"))?;
        let answered = connection?.send_request(request).await;
        answered.map_err(|_| failed("the address did not answer as HTTP asks for"))
    }

    /// All addresses of a name; one that is not public spoils the lot.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Problem> {
        let found = (self.resolve)(target.host(), target.port()).await;
        let found = found.map_err(|_| failed("the address's name cannot be resolved"))?;
        if found.is_empty() {
            return Err(failed("the address's name cannot be resolved"));
        }
        match found.iter().all(self.may_ask) {
            true => Ok(found),
            false => Err(Problem::new(
                Kind::Forbidden,
                "the address, or one that it leads to, is not public: only public addresses are \
                 fetched",
            )),
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn failed(reason: &str) -> Problem {
    let detail = format!("url: {reason}: check it, or send the picture itself");
    Problem::new(Kind::Unprocessable, detail)
}

#[cfg(test)]
mod tests;
