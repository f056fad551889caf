//! Standard output, a whole line at a time.

use std::cell::Cell;
use std::io::{ErrorKind, Write, stdout};

use crate::failure::Failure;

/// Prints lines, each of which has left the program when the call returns, so that an end by a
/// signal cuts none.
#[derive(Default)]
pub struct Printer {
    closed: Cell<bool>,
}

impl Printer {
    /// Prints a line. Does nothing once the reader has closed the pipe.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        if self.closed.get() {
            return Ok(());
        }
        let mut out = stdout().lock();
        let line = format!("{text}\n");
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.set(true);
                Ok(())
            }
            Err(error) => Err(Failure::failed("file", format!("standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Whether the reader has closed the pipe.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }
}
