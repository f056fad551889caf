//! ZeroMQ's transport (ZMTP 3.0, rfc.zeromq.org/spec/23) as a REP socket speaks it with one client, without
//! security: greeting, handshake, and messages of several frames within bounds.
//!
//! The crate `zeromq` has no bound on the size of a message.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::body::{BodyBuffer, BufferedBody};
use crate::memory_budget::MemoryBudget;

/// Longest time of the rest of a message after its first byte, and of a reply.
const PATIENCE: Duration = Duration::from_secs(10);

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Most frames of one message, its envelope included.
const MAX_FRAMES: usize = 8;

/// Largest command, largest envelope and largest header.
const MAX_SMALL: u64 = 4 << 10;

/// Bytes that are read at a time: memory is taken only for what has come.
const CHUNK: usize = 64 << 10;

/// A client.
pub struct Peer<S> {
    stream: S,
}

/// A message without its envelope.
pub struct Request {
    /// What the reply begins with, up to and with the empty frame.
    pub envelope: Vec<Vec<u8>>,
    /// The first frame behind it; empty if there is none.
    pub header: Vec<u8>,
    /// What follows.
    pub frames: Vec<BufferedBody>,
}

/// What the frames behind a header may take.
pub struct FrameLimits<'a> {
    /// Largest frame.
    pub bytes: usize,
    /// Where all frames are counted.
    pub memory: &'a MemoryBudget,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Peer<S> {
    /// Does the whole handshake in this time.
    ///
    /// # Errors
    /// The client speaks something else, or does not end.
    pub async fn greet(stream: S, limit: Duration) -> Result<Self, String> {
        let mut peer = Self { stream };
        match timeout(limit, peer.shake_hands()).await {
            Ok(shaken) => shaken.map(|()| peer),
            Err(_) => Err("it does not end its greeting".to_owned()),
        }
    }

    async fn shake_hands(&mut self) -> Result<(), String> {
        let mut greeting = [0; 64];
        greeting[0] = 0xff;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        self.stream.write_all(&greeting).await.map_err(gone)?;
        let mut theirs = [0; 64];
        self.stream.read_exact(&mut theirs).await.map_err(gone)?;
        if theirs[0] != 0xff || theirs[9] & 1 == 0 || theirs[10] < 3 {
            return Err("it does not speak ZMTP 3".to_owned());
        }
        if &theirs[12..17] != b"NULL\0" {
            return Err("it wants security, which is not spoken here".to_owned());
        }
        let ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03REP";
        self.send_frame(COMMAND, ready).await?;
        loop {
            let (flags, length) = self.frame_head().await?;
            if flags & COMMAND == 0 || length > MAX_SMALL {
                return Err("it does not end its handshake".to_owned());
            }
            let command = self.small_frame(length).await?;
            if command.starts_with(b"\x05READY") {
                let asks = [&b"\x00\x00\x00\x03REQ"[..], b"\x00\x00\x00\x06DEALER"];
                let is_asking = |part: &&[u8]| command.windows(part.len()).any(|it| it == *part);
                return match asks.iter().any(is_asking) {
                    true => Ok(()),
                    false => Err("it is no REQ socket".to_owned()),
                };
            }
        }
    }

    /// Waits for a message, however long; its first byte, or none when the client has left.
    ///
    /// # Errors
    /// The client breaks the rules.
    pub async fn wait(&mut self) -> Result<Option<u8>, String> {
        let mut flags = [0];
        loop {
            match self.stream.read_exact(&mut flags).await {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other.map(drop).map_err(gone)?,
            }
            if flags[0] & COMMAND == 0 {
                return Ok(Some(flags[0]));
            }
            // Such as a sign of life.
            let command = async {
                let length = self.length(flags[0]).await?;
                self.small_frame(length).await
            };
            in_time(command).await?;
        }
    }

    /// The message that begins with this byte.
    ///
    /// # Errors
    /// It is too large, there is no memory for it, or it stops in the middle.
    pub async fn receive(
        &mut self,
        first: u8,
        limits: &FrameLimits<'_>,
    ) -> Result<Request, String> {
        in_time(self.rest_of_message(first, limits)).await
    }

    async fn rest_of_message(
        &mut self,
        first: u8,
        limits: &FrameLimits<'_>,
    ) -> Result<Request, String> {
        let (mut flags, mut length) = (first, self.length(first).await?);
        let (mut envelope, mut header, mut frames) = (Vec::new(), None, Vec::new());
        let mut is_envelope = true;
        loop {
            if envelope.len() + frames.len() == MAX_FRAMES {
                return Err(format!("a message has more than {MAX_FRAMES} frames"));
            }
            if is_envelope {
                let frame = self.small_frame(length).await?;
                is_envelope = !frame.is_empty();
                envelope.push(frame);
            } else if header.is_none() {
                header = Some(self.small_frame(length).await?);
            } else {
                frames.push(self.large_frame(length, limits).await?);
            }
            if flags & MORE == 0 {
                let header = header.unwrap_or_default();
                return Ok(Request {
                    envelope,
                    header,
                    frames,
                });
            }
            (flags, length) = self.frame_head().await?;
        }
    }

    async fn frame_head(&mut self) -> Result<(u8, u64), String> {
        let flags = self.stream.read_u8().await.map_err(gone)?;
        Ok((flags, self.length(flags).await?))
    }

    async fn length(&mut self, flags: u8) -> Result<u64, String> {
        match flags & LONG {
            0 => self.stream.read_u8().await.map(u64::from),
            _ => self.stream.read_u64().await,
        }
        .map_err(gone)
    }

    async fn small_frame(&mut self, length: u64) -> Result<Vec<u8>, String> {
        if length > MAX_SMALL {
            return Err("a command, an envelope or a header is too large".to_owned());
        }
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame).await.map_err(gone)?;
        Ok(frame)
    }

    async fn large_frame(
        &mut self,
        length: u64,
        limits: &FrameLimits<'_>,
    ) -> Result<BufferedBody, String> {
        let mut buffer = BodyBuffer::within(limits.bytes, limits.memory.share(&client()));
        let mut left = length;
        let mut chunk = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
        while left > 0 {
            let part = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            let read = self.stream.read(&mut chunk[..part]).await.map_err(gone)?;
            if read == 0 {
                return Err("it has left in the middle of a message".to_owned());
            }
            let added = buffer.append(&chunk[..read]);
            added.map_err(|problem| problem.detail)?;
            left -= read as u64;
        }
        Ok(buffer.finish())
    }

    /// Answers the last request.
    ///
    /// # Errors
    /// The client does not take the answer.
    pub async fn reply(&mut self, envelope: &[Vec<u8>], frames: &[Vec<u8>]) -> Result<(), String> {
        let all: Vec<&Vec<u8>> = envelope.iter().chain(frames).collect();
        let sending = async {
            for (index, frame) in all.iter().enumerate() {
                let more = if index + 1 < all.len() { MORE } else { 0 };
                self.send_frame(more, frame).await?;
            }
            self.stream.flush().await.map_err(gone)
        };
        match timeout(PATIENCE, sending).await {
            Ok(sent) => sent,
            Err(_) => Err("it does not read its answer".to_owned()),
        }
    }

    async fn send_frame(&mut self, flags: u8, body: &[u8]) -> Result<(), String> {
        let mut bytes = Vec::with_capacity(9 + body.len());
        match u8::try_from(body.len()) {
            Ok(length) => bytes.extend([flags, length]),
            Err(_) => {
                bytes.push(flags | LONG);
                bytes.extend((body.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.map_err(gone)
    }
}

/// All clients of these sockets share one place in the queue.
pub fn client() -> Arc<str> {
    Arc::from("zmq")
}

async fn in_time<T>(rest: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let rest = timeout(PATIENCE, rest).await;
    rest.unwrap_or_else(|_| Err("a message stops in the middle".to_owned()))
}

fn gone(error: std::io::Error) -> String {
    error.to_string()
}
