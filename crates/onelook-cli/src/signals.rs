//! Ctrl-C and SIGTERM: the first asks the command to finish what it has in hand, the second ends the
//! program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How long a signal may go unnoticed by [`Interrupt::then`].
const POLL: Duration = Duration::from_millis(20);

/// What became of the signals since [`Interrupt::install`].
pub struct Interrupt {
    /// The signal's number; 0 for none.
    received: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Takes the two signals over. Call it when there is something to finish: before, the system's
    /// own way of ending the program at once is right.
    pub fn install() -> io::Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in this order, so that a first signal arms the end and a second, of either
            // kind, finds it armed.
            flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())?;
            flag::register(signal, armed.clone())?;
            flag::register_usize(signal, received.clone(), signal as usize)?;
        }
        Ok(Self { received })
    }

    /// For threads that outlive a borrow of this.
    pub fn handle(&self) -> Received {
        Received(self.received.clone())
    }

    /// The number of the signal that came, if one did.
    pub fn received(&self) -> Option<u8> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            signal => u8::try_from(signal).ok(),
        }
    }

    /// Does `action` on a thread of its own when a signal comes: a handler itself may do next to
    /// nothing.
    pub fn then(&self, action: impl FnOnce() + Send + 'static) {
        let received = self.received.clone();
        thread::spawn(move || {
            while received.load(Ordering::SeqCst) == 0 {
                thread::sleep(POLL);
            }
            action();
        });
    }
}

/// The signal that came, for other threads.
#[derive(Clone)]
pub struct Received(Arc<AtomicUsize>);

impl Received {
    /// Does as if Ctrl-C had been pressed, unless a signal came before.
    pub fn interrupt(&self) {
        let interrupted = SIGINT as usize;
        let order = Ordering::SeqCst;
        let _ = self.0.compare_exchange(0, interrupted, order, order);
    }

    /// Whether one came.
    pub fn is_received(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }
}
