//! Live streams over HTTP, with decoders that do as they are told: no process, no camera.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod brokers;
mod kept;
mod list;
mod scripted;
mod security;
mod watched;
