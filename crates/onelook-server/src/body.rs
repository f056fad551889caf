//! Reads request bodies into memory, within limits on the size of one, the size of all, and time.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::app::App;
use crate::body_budget::BudgetShare;
use crate::problem::{Problem, ProblemKind};

/// Longest time spent on reading a body that is not used.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Bytes that are decompressed at a time.
const INFLATE_CHUNK: usize = 64 << 10;

/// A body in memory. Dropping it returns its share of the budget.
pub struct BufferedBody {
    /// The body.
    pub bytes: Bytes,
    _share: BudgetShare,
}

/// A body that grows, within the limits on one body and on all of them.
pub struct BodyBuffer {
    bytes: BytesMut,
    limit: usize,
    share: BudgetShare,
}

impl BodyBuffer {
    /// An empty buffer.
    pub fn new(app: &App) -> Self {
        Self {
            bytes: BytesMut::new(),
            limit: app.config.limits.body_bytes,
            share: app.body_budget.share(),
        }
    }

    /// Adds a chunk. The budget is asked before memory is taken.
    pub fn append(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        if self.bytes.len() + chunk.len() > self.limit {
            return Err(Problem::too_large(self.limit as u64));
        }
        self.share.grow(chunk.len())?;
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The whole body.
    pub fn finish(self) -> BufferedBody {
        BufferedBody {
            bytes: self.bytes.freeze(),
            _share: self.share,
        }
    }
}

/// Reads a whole body.
pub async fn read(app: &App, body: Body) -> Result<BufferedBody, Problem> {
    let limit = app.config.limits.body_timeout;
    match timeout(limit, collect(app, body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Problem::new(
            ProblemKind::Timeout,
            format!("the body did not arrive within {} s", limit.as_secs_f64()),
        )),
    }
}

async fn collect(app: &App, mut body: Body) -> Result<BufferedBody, Problem> {
    let limit = app.config.limits.body_bytes as u64;
    if body.size_hint().exact().is_some_and(|size| size > limit) {
        drain(body).await;
        return Err(Problem::too_large(limit));
    }
    let mut buffer = BodyBuffer::new(app);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if let Err(problem) = buffer.append(&data) {
            drain(body).await;
            return Err(problem);
        }
    }
    Ok(buffer.finish())
}

/// Undoes the content encoding, within the same limits.
pub async fn inflate(
    app: &App,
    encoding: &str,
    compressed: BufferedBody,
) -> Result<BufferedBody, Problem> {
    let source = compressed.bytes.as_ref();
    let mut reader: Box<dyn Read + Send> = match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(compressed),
        "gzip" => Box::new(flate2::read::GzDecoder::new(source)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(source)),
        _ => {
            let detail = "the content encoding must be gzip, deflate or identity";
            return Err(Problem::new(ProblemKind::Unsupported, detail));
        }
    };
    let mut buffer = BodyBuffer::new(app);
    let mut chunk = vec![0; INFLATE_CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(|error| {
            Problem::bad_request(format!("the body cannot be decompressed: {error}"))
        })?;
        if read == 0 {
            return Ok(buffer.finish());
        }
        buffer.append(&chunk[..read])?;
        // Decompression never waits by itself: let other tasks of this thread run in between.
        tokio::task::yield_now().await;
    }
}

/// Passes the body on if the request can go on, else discards it.
pub async fn keep_if_ok<T>(outcome: Result<T, Problem>, body: Body) -> Result<(T, Body), Problem> {
    match outcome {
        Ok(value) => Ok((value, body)),
        Err(problem) => {
            drain(body).await;
            Err(problem)
        }
    }
}

/// Reads a body and discards it, for a limited time: most clients read the answer only after they
/// have sent everything.
pub async fn drain(mut body: Body) {
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(DRAIN_TIME, all).await;
}
