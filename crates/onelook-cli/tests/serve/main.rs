//! `onelook serve` as a process: what it prints, how it ends, and what it makes of signals and files.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod configuration;
mod models;
mod process;
mod secrets;
mod signals;
mod systemd;
