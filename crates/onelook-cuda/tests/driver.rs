//! The driver layer against a driver without a GPU: each way to fail, and what is called when.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "driver/cache.rs"]
mod cache;
#[path = "driver/check.rs"]
mod check;
#[path = "fake_driver/emulated.rs"]
mod emulated;
#[path = "driver/engine.rs"]
mod engine;
#[path = "driver/failures.rs"]
mod failures;
#[path = "fake_driver/fake.rs"]
mod fake;
#[path = "fake_driver/launched.rs"]
mod launched;
#[path = "driver/memory.rs"]
mod memory;
#[path = "driver/overlap.rs"]
mod overlap;
#[path = "driver/plans.rs"]
mod plans;

use std::sync::Arc;

use onelook_cuda::driver::{Context, Driver};
use onelook_ptx::lang::{Builder, Kernel, Target};

use fake::Fake;

/// The first GPU of a driver that works.
fn context(fake: &Fake, memory_limit: Option<u64>) -> Arc<Context> {
    let driver = Driver::open_file(&fake.path()).unwrap();
    Context::open(&driver, 0, memory_limit).unwrap()
}

/// The one kernel that the driver without a GPU runs: from, to, bytes.
fn copy_kernel(threads: u32) -> Kernel {
    let builder = Builder::new("copy", Target::Sm80, threads);
    builder.input("from");
    builder.output("to");
    builder.word("bytes");
    builder.finish()
}
