//! Which process a value belongs to: a fork has its parent's memory, but not its threads.

use std::mem;
use std::ops::Deref;
use std::process;

use pyo3::prelude::*;

use crate::error::raised;

/// A value with threads behind it. In a fork of its process it is never dropped: it would wait for threads
/// that are not there.
pub struct OfProcess<T> {
    value: Option<T>,
    process: u32,
}

impl<T> OfProcess<T> {
    /// A value of this process.
    pub fn new(value: T) -> Self {
        Self {
            value: Some(value),
            process: process::id(),
        }
    }

    /// The value, to be used with its threads.
    ///
    /// # Errors
    /// This is a fork of its process.
    pub fn running(&self) -> PyResult<&T> {
        match self.process == process::id() {
            true => Ok(self),
            false => Err(raised(
                "ClosedError",
                "this was begun before the process was forked: begin it again in the new process"
                    .to_owned(),
            )),
        }
    }
}

impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken only when it is dropped")
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            mem::forget(self.value.take());
        }
    }
}
