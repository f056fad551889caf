//! The standard input of a program, written to as far as the program takes it in time.

use std::io::{self, Write};
use std::process::ChildStdin;
use std::time::Duration;

/// The standard input of a program. Writing is an error of the kind `TimedOut` when nothing was taken for so
/// long: its disk hangs, or it does.
pub(super) struct InputPipe {
    pipe: ChildStdin,
    patience: Duration,
}

impl InputPipe {
    #[cfg(unix)]
    pub(super) fn new(pipe: ChildStdin, patience: Duration) -> io::Result<Self> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        // The program's own end stays as it is.
        let flags = fcntl_getfl(&pipe)?;
        fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        Ok(Self { pipe, patience })
    }

    #[cfg(not(unix))]
    pub(super) fn new(pipe: ChildStdin, patience: Duration) -> io::Result<Self> {
        Ok(Self { pipe, patience })
    }

    #[cfg(unix)]
    fn wait_for_room(&self) -> io::Result<()> {
        let deadline = std::time::Instant::now() + self.patience;
        super::pipe_wait::wait_until_ready(&self.pipe, rustix::event::PollFlags::OUT, deadline)
    }

    /// Without a watch: the pipes of other systems cannot be waited for.
    #[cfg(not(unix))]
    fn wait_for_room(&self) -> io::Result<()> {
        let _ = self.patience;
        Ok(())
    }
}

impl Write for InputPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room()?,
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}
