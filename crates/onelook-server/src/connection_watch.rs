//! What a connection is doing: how many of its requests are unanswered, and whether its client still reads.
//!
//! Answers are handed on in pieces, so that what a client does not read stays here, counted, instead of in
//! the buffers of a connection. An answer or a socket that makes too little progress ends the connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::locks::lock;
use crate::memory_budget::MemoryShare;
use crate::progress::{MinProgress, ProgressDeadline};

/// Bytes of a piece.
const PIECE: usize = 16 << 10;

/// One connection's requests and answers.
pub struct ConnectionWatch {
    expected: MinProgress,
    state: Mutex<WatchState>,
}

struct WatchState {
    requests: usize,
    /// Those of them that wait for their client's next message.
    paused: usize,
    idle_since: Instant,
    /// Deadlines of the answers that wait for their client, and of the socket, by a number.
    waiting: Vec<(u64, ProgressDeadline)>,
    last: u64,
}

impl ConnectionWatch {
    /// A connection that has just been accepted.
    pub fn new(expected: MinProgress) -> Arc<Self> {
        Arc::new(Self {
            expected,
            state: Mutex::new(WatchState {
                requests: 0,
                paused: 0,
                idle_since: Instant::now(),
                waiting: Vec::new(),
                last: 0,
            }),
        })
    }

    /// Counts a request until the returned guard is dropped.
    pub fn request(self: &Arc<Self>) -> RequestGuard {
        self.lock().requests += 1;
        RequestGuard(Arc::clone(self))
    }

    /// Counts a request as one that waits for its client's next message, until the returned guard is
    /// dropped.
    pub fn pause(self: &Arc<Self>) -> PauseGuard {
        let mut state = self.lock();
        state.paused += 1;
        state.idle_since = Instant::now();
        PauseGuard(Arc::clone(self))
    }

    /// Since when nothing is to be answered; `None` while something is.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        let is_idle = state.requests <= state.paused && state.waiting.is_empty();
        is_idle.then_some(state.idle_since)
    }

    /// Whether the client has stopped reading, or reads too slowly.
    pub fn is_stalled(&self, now: Instant) -> bool {
        let state = self.lock();
        state.waiting.iter().any(|(_, wait)| wait.due() <= now)
    }

    /// Only plain values are kept under the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        lock(&self.state)
    }

    fn client_wait(self: &Arc<Self>) -> ClientWait {
        let mut state = self.lock();
        state.last += 1;
        ClientWait {
            number: state.last,
            watch: Arc::clone(self),
        }
    }
}

/// A request that is not answered yet.
pub struct RequestGuard(Arc<ConnectionWatch>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// A request that waits for its client's next message.
pub struct PauseGuard(Arc<ConnectionWatch>);

impl Drop for PauseGuard {
    fn drop(&mut self) {
        self.0.lock().paused -= 1;
    }
}

/// Something that may wait for the client.
struct ClientWait {
    number: u64,
    watch: Arc<ConnectionWatch>,
}

impl ClientWait {
    /// From now on it waits for the client; `bytes` is what the client has taken since the last call.
    fn waits(&self, bytes: usize) {
        if !self.advances(bytes) {
            let deadline = ProgressDeadline::new(self.watch.expected, Instant::now());
            self.watch.lock().waiting.push((self.number, deadline));
        }
    }

    /// The client has taken these bytes; whether it waits for the client.
    fn advances(&self, bytes: usize) -> bool {
        let now = Instant::now();
        let mut state = self.watch.lock();
        // They share the connection: while one gets on, the others have their turn still to come.
        for (_, wait) in &mut state.waiting {
            wait.advance(now, bytes);
        }
        state.waiting.iter().any(|wait| wait.0 == self.number)
    }

    /// It waits for the server.
    fn rests(&self) {
        let mut state = self.watch.lock();
        state.waiting.retain(|wait| wait.0 != self.number);
    }
}

impl Drop for ClientWait {
    fn drop(&mut self) {
        self.rests();
    }
}

/// An answer on its way to the client.
pub struct AnswerBody {
    body: Body,
    is_counted: bool,
    rest: Bytes,
    wait: ClientWait,
    share: MemoryShare,
    _request: RequestGuard,
}

impl AnswerBody {
    /// The answer to a request. What the client has not read yet is counted to `share`, which has been done
    /// already where the size is known.
    pub fn new(
        body: Body,
        watch: &Arc<ConnectionWatch>,
        share: MemoryShare,
        request: RequestGuard,
    ) -> Self {
        let wait = watch.client_wait();
        wait.waits(0);
        Self {
            is_counted: body.size_hint().exact().is_some(),
            body,
            rest: Bytes::new(),
            wait,
            share,
            _request: request,
        }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                self.wait.rests();
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    if !self.is_counted {
                        self.share.grow_beyond(data.len());
                    }
                    self.rest = data;
                }
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.wait.waits(length);
        self.share.shrink(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.remaining() as u64;
        match hint.exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => {
                hint.set_lower(hint.lower() + rest);
                hint
            }
        }
    }
}

/// A socket whose writes are watched.
pub struct WatchedSocket<S> {
    socket: S,
    wait: ClientWait,
}

impl<S> WatchedSocket<S> {
    /// The socket of a connection.
    pub fn new(socket: S, watch: &Arc<ConnectionWatch>) -> Self {
        Self {
            socket,
            wait: watch.client_wait(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.socket).poll_flush(context));
        // hyper flushes once everything was written.
        self.wait.rests();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl<S> WatchedSocket<S> {
    fn written(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        match &written {
            Poll::Pending => self.wait.waits(0),
            Poll::Ready(Ok(bytes)) => drop(self.wait.advances(*bytes)),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::memory_budget::MemoryBudget;

    const EXPECTED: MinProgress = MinProgress {
        stall: Duration::from_secs(10),
        bytes_per_second: 1000,
    };

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn an_unread_answer_is_counted_and_stalls_its_connection() {
        let budget = MemoryBudget::new(1 << 20);
        let watch = ConnectionWatch::new(EXPECTED);
        let share = budget.share(&Arc::from("a"));
        share.grow(3 * PIECE / 2).unwrap();
        let body = Body::from(vec![7; 3 * PIECE / 2]);
        let mut answer = AnswerBody::new(body, &watch, share, watch.request());
        assert_eq!(budget.free(), (1 << 20) - 3 * PIECE / 2);
        assert!(!watch.is_stalled(later(9)) && watch.is_stalled(later(11)));
        assert_eq!(watch.idle_since(), None);
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE);
        assert_eq!(budget.free(), (1 << 20) - PIECE / 2);
        assert_eq!(answer.size_hint().exact(), Some(PIECE as u64 / 2));
        let rest = answer.collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), PIECE / 2);
        assert!(!watch.is_stalled(later(11)));
        assert_eq!(budget.free(), 1 << 20);
        assert!(watch.idle_since().is_some());
    }

    #[test]
    fn a_request_that_pauses_leaves_its_connection_idle() {
        let watch = ConnectionWatch::new(EXPECTED);
        let stream = watch.request();
        assert_eq!(watch.idle_since(), None);
        let pause = watch.pause();
        assert!(watch.idle_since().is_some());
        let other = watch.request();
        assert_eq!(watch.idle_since(), None, "another is in progress");
        drop(other);
        assert!(watch.idle_since().is_some());
        drop(pause);
        assert_eq!(watch.idle_since(), None, "the next message is there");
        drop(stream);
        assert!(watch.idle_since().is_some());
    }

    #[tokio::test]
    async fn an_answer_that_waits_for_the_server_does_not_stall() {
        let budget = MemoryBudget::new(1 << 20);
        let watch = ConnectionWatch::new(EXPECTED);
        let share = budget.share(&Arc::from("a"));
        let stream = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let mut answer = AnswerBody::new(Body::from_stream(stream), &watch, share, watch.request());
        let polled = tokio::time::timeout(Duration::from_millis(1), answer.frame()).await;
        assert!(polled.is_err());
        assert!(!watch.is_stalled(later(100)));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_reads_stalls_until_it_is_written() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let watch = ConnectionWatch::new(EXPECTED);
        let (near, mut far) = tokio::io::duplex(100);
        let mut socket = WatchedSocket::new(near, &watch);
        socket.write_all(&[0; 100]).await.unwrap();
        socket.flush().await.unwrap();
        assert!(!watch.is_stalled(later(100)));
        let full = tokio::time::timeout(Duration::from_millis(1), socket.write_all(&[0; 50]));
        assert!(full.await.is_err());
        assert!(watch.is_stalled(later(11)));
        far.read_exact(&mut [0; 100]).await.unwrap();
        socket.write_all(&[0; 50]).await.unwrap();
        socket.flush().await.unwrap();
        assert!(!watch.is_stalled(later(100)));
    }
}
