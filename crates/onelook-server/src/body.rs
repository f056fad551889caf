//! Bodies into memory, within limits: bytes of one, bytes of all, time.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// Longest time that is spent on a body that nobody will read.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Bytes that are decompressed at a time.
const INFLATED_PIECE: usize = 64 << 10;

/// A body in memory; what it takes of the server's budget is given back when it is dropped.
pub struct Held<'a> {
    /// The body.
    pub bytes: Bytes,
    budget: Option<SemaphorePermit<'a>>,
}

impl Held<'_> {
    /// Nothing yet.
    pub fn empty() -> Self {
        Self {
            bytes: Bytes::new(),
            budget: None,
        }
    }

    /// Gives back the budget for bytes that are not needed any more.
    pub fn release(&mut self) {
        self.bytes = Bytes::new();
        self.budget = None;
    }
}

/// Reads a whole body.
pub async fn read(app: &App, body: Body) -> Result<Held<'_>, Problem> {
    let limits = &app.config.limits;
    match timeout(limits.body_timeout, collect(app, body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Problem::new(
            Kind::Timeout,
            format!(
                "the body did not arrive within {} s",
                limits.body_timeout.as_secs_f64()
            ),
        )),
    }
}

async fn collect(app: &App, mut body: Body) -> Result<Held<'_>, Problem> {
    let limit = app.config.limits.body_bytes;
    let declared = body_length(&body).unwrap_or(0);
    if declared > limit as u64 {
        drain(body).await;
        return Err(too_large(limit));
    }
    let mut held = Held::empty();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if let Err(problem) = append(app, &mut held, &mut bytes, &data) {
            drain(body).await;
            return Err(problem);
        }
    }
    held.bytes = bytes.freeze();
    Ok(held)
}

/// The body as it was before it was compressed, within the same limits.
pub async fn inflated<'a>(
    app: &'a App,
    encoding: &str,
    compressed: Held<'a>,
) -> Result<Held<'a>, Problem> {
    let source = compressed.bytes.as_ref();
    let reader: Box<dyn Read + Send> = match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(compressed),
        "gzip" => Box::new(flate2::read::GzDecoder::new(source)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(source)),
        _ => {
            let detail = "the content encoding is none of gzip, deflate and identity";
            return Err(Problem::new(Kind::Unsupported, detail));
        }
    };
    inflate(app, reader).await
}

/// A piece at a time: others get their turn in between, and the budget is asked before memory is.
async fn inflate<'a>(
    app: &'a App,
    mut reader: Box<dyn Read + Send + '_>,
) -> Result<Held<'a>, Problem> {
    let mut held = Held::empty();
    let mut bytes = BytesMut::new();
    let mut piece = vec![0; INFLATED_PIECE];
    loop {
        let read = reader.read(&mut piece).map_err(|error| {
            Problem::bad_request(format!("the body cannot be decompressed: {error}"))
        })?;
        if read == 0 {
            break;
        }
        append(app, &mut held, &mut bytes, &piece[..read])?;
        tokio::task::yield_now().await;
    }
    held.bytes = bytes.freeze();
    Ok(held)
}

/// Adds a piece, within the limits on one body and on all: whatever a body comes from, it grows here.
pub fn append<'a>(
    app: &'a App,
    held: &mut Held<'a>,
    bytes: &mut BytesMut,
    piece: &[u8],
) -> Result<(), Problem> {
    let limit = app.config.limits.body_bytes;
    if bytes.len() + piece.len() > limit {
        return Err(too_large(limit));
    }
    take_budget(app, held, bytes.len(), piece.len())?;
    bytes.extend_from_slice(piece);
    Ok(())
}

/// Takes whole kibibytes as the body grows over them.
fn take_budget<'a>(
    app: &'a App,
    held: &mut Held<'a>,
    before: usize,
    added: usize,
) -> Result<(), Problem> {
    let kibibytes = |bytes: usize| bytes.div_ceil(1 << 10);
    let needed = kibibytes(before + added) - kibibytes(before);
    if needed == 0 {
        return Ok(());
    }
    let needed = u32::try_from(needed).map_err(|_| too_large(app.config.limits.body_bytes))?;
    let permit = app.bodies.try_acquire_many(needed).map_err(|_| {
        let detail = "the server holds as many bytes of requests as it may: try again later";
        Problem::new(Kind::Overloaded, detail).retry_after(Duration::from_secs(1))
    })?;
    match &mut held.budget {
        Some(budget) => budget.merge(permit),
        none => *none = Some(permit),
    }
    Ok(())
}

/// Reads a body to nowhere, so that its sender gets to see the answer; not for ever.
pub async fn drain(mut body: Body) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(DRAIN_TIME, all).await;
}

fn body_length(body: &Body) -> Option<u64> {
    use axum::body::HttpBody;
    body.size_hint().exact()
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body has more than the {limit} bytes that this server takes");
    Problem::new(Kind::TooLarge, detail)
}
