//! Reads request bodies into memory, within limits on the size of one, the memory of all, and their pace.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::admission::ClientKey;
use crate::app::App;
use crate::blocking::blocking;
use crate::config::Limits;
use crate::content_encoding::ContentEncoding;
use crate::memory_budget::MemoryShare;
use crate::problem::{Problem, ProblemKind};
use crate::progress::ProgressDeadline;
use crate::request_context::RequestContext;

/// Longest time spent on reading a body that is not used, and most bytes of it.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const DRAIN_BYTES: usize = 64 << 20;

/// Bytes that are decompressed at a time.
const INFLATE_CHUNK: usize = 64 << 10;

/// A body in memory. Dropping it returns its share of the budget.
pub struct BufferedBody {
    /// The body.
    pub bytes: Bytes,
    /// What it holds of the budget, to which its parsed form is added.
    pub share: Arc<MemoryShare>,
}

/// Bytes that go on to be counted for as long as a slice of them is left, whoever has it: work that was
/// begun does not end when its client leaves.
pub fn counted(bytes: impl AsRef<[u8]> + Send + 'static, share: &Arc<MemoryShare>) -> Bytes {
    struct Counted<T> {
        bytes: T,
        _share: Arc<MemoryShare>,
    }
    impl<T: AsRef<[u8]>> AsRef<[u8]> for Counted<T> {
        fn as_ref(&self) -> &[u8] {
            self.bytes.as_ref()
        }
    }
    Bytes::from_owner(Counted {
        bytes,
        _share: Arc::clone(share),
    })
}

/// A body that grows, within the limits on one body and on all of them.
pub struct BodyBuffer {
    bytes: BytesMut,
    limit: usize,
    share: MemoryShare,
}

impl BodyBuffer {
    /// An empty buffer of this client.
    pub fn new(app: &App, client: &ClientKey) -> Self {
        Self::within(app.config.limits.body_bytes, app.memory.share(client))
    }

    /// An empty buffer for so many bytes, counted to this share.
    pub fn within(limit: usize, share: MemoryShare) -> Self {
        Self {
            bytes: BytesMut::new(),
            limit,
            share,
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
        let share = Arc::new(self.share);
        BufferedBody {
            bytes: counted(self.bytes, &share),
            share,
        }
    }
}

/// Reads a whole body and undoes its content encoding. The request's time starts when it has arrived: how
/// long that takes is bounded by progress alone.
pub async fn read(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    body: Body,
) -> Result<BufferedBody, Problem> {
    let (encoding, body) = keep_if_ok(ContentEncoding::of(headers), body).await?;
    let body = receive(app, context, body).await?;
    let body = match encoding {
        ContentEncoding::Identity => body,
        // Away from the threads that answer requests: it never waits by itself.
        encoding => {
            let buffer = BodyBuffer::new(app, &context.client);
            // It may take long, so one client must not have all threads.
            let thread = app.inflaters.acquire(&context.client, 1);
            let due = Instant::now() + context.time_limit;
            let thread = timeout_at(due, thread).await.map_err(|_| {
                let detail = "too many compressed bodies wait to be decompressed: try again later";
                Problem::new(ProblemKind::Overloaded, detail)
            })?;
            blocking(move || {
                let _thread = thread;
                inflate(encoding, &body, buffer)
            })
            .await??
        }
    };
    context.restart();
    Ok(body)
}

async fn receive(
    app: &App,
    context: &RequestContext,
    mut body: Body,
) -> Result<BufferedBody, Problem> {
    let limit = app.config.limits.body_bytes as u64;
    if body.size_hint().exact().is_some_and(|size| size > limit) {
        drain(body).await;
        return Err(Problem::too_large(limit));
    }
    let mut buffer = BodyBuffer::new(app, &context.client);
    let mut progress = ProgressDeadline::new(app.config.limits.min_progress, Instant::now());
    loop {
        let frame = timeout_at(progress.due(), body.frame());
        let Some(frame) = frame.await.map_err(|_| too_slow(&app.config.limits))? else {
            return Ok(buffer.finish());
        };
        let frame =
            frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        progress.advance(Instant::now(), data.len());
        if let Err(problem) = buffer.append(&data) {
            drain(body).await;
            return Err(problem);
        }
    }
}

/// The problem of a body that arrives too slowly.
pub fn too_slow(limits: &Limits) -> Problem {
    let detail = format!(
        "the body stalled for {} s, or came with less than {} bytes/s",
        limits.min_progress.stall.as_secs_f64(),
        limits.min_progress.bytes_per_second
    );
    Problem::new(ProblemKind::Timeout, detail)
}

/// Undoes the content encoding, within the same limits.
fn inflate(
    encoding: ContentEncoding,
    compressed: &BufferedBody,
    mut buffer: BodyBuffer,
) -> Result<BufferedBody, Problem> {
    let refused = RefCell::new(None);
    // It goes back with the compressed body.
    let reserve = |bytes| match compressed.share.grow(bytes) {
        Ok(()) => true,
        Err(problem) => {
            refused.replace(Some(problem));
            false
        }
    };
    let mut reader = encoding.reader(&compressed.bytes, &reserve);
    let mut chunk = vec![0; INFLATE_CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(|error| {
            let invalid = || format!("the body cannot be decompressed: {error}");
            let refused = refused.take();
            refused.unwrap_or_else(|| Problem::bad_request(invalid()))
        })?;
        if read == 0 {
            return Ok(buffer.finish());
        }
        buffer.append(&chunk[..read])?;
    }
}

/// The first bytes of a body, at least `length` of them if it has so many, and the whole body again.
pub async fn peek(app: &App, mut body: Body, length: usize) -> Result<(Bytes, Body), Problem> {
    let limits = &app.config.limits;
    let due = Instant::now() + limits.min_progress.stall;
    let mut start = BytesMut::new();
    while start.len() < length {
        let frame = timeout_at(due, body.frame());
        match frame.await.map_err(|_| too_slow(limits))? {
            Some(Ok(frame)) => start.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Some(Err(error)) => {
                return Err(Problem::bad_request(format!("the body broke off: {error}")));
            }
            None => break,
        }
    }
    let start = start.freeze();
    let first = stream::once(std::future::ready(Ok(start.clone())));
    let body = Body::from_stream(first.chain(body.into_data_stream()));
    Ok((start, body))
}

/// What the first bytes of a body say without its content encoding, as far as they go and no longer than
/// `limit`.
pub fn decoded_start(headers: &HeaderMap, start: Bytes, limit: usize) -> Bytes {
    let Ok(encoding) = ContentEncoding::of(headers) else {
        return start;
    };
    // Strangers are answered on the thread that asks: little of theirs is looked at.
    let start = start.slice(..start.len().min(4 * limit));
    let mut decoded = Vec::new();
    // zstd gives nothing before a window is full: strangers get a small one.
    let reserve = |window| window <= 16 * limit;
    // It ends with an error, because the rest is missing; what came before is there.
    let _ = encoding
        .reader(&start, &reserve)
        .take(limit as u64)
        .read_to_end(&mut decoded);
    decoded.into()
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

/// Reads a body and discards it, within bounds: most clients read the answer only after they have sent
/// everything.
pub async fn drain(mut body: Body) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAIN_BYTES {
                break;
            }
        }
    };
    let _ = timeout(DRAIN_TIME, all).await;
}
