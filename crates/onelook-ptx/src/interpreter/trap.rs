//! Errors of interpreted programs: what a kernel did wrong, and where. The first one ends the
//! launch.

use std::fmt;

/// A fault of a program, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Trap {
    /// The kernel's name; empty outside of launches.
    pub kernel: String,
    /// The block in the grid.
    pub block: [u32; 3],
    /// The warp in the block.
    pub warp: u32,
    /// The lane, when one is to blame.
    pub lane: Option<u32>,
    /// The instruction, with its number in the program and the comment before it.
    pub instruction: String,
    /// What is wrong.
    pub what: String,
}

impl Trap {
    /// A fault outside of any launch.
    pub fn outside(what: impl Into<String>) -> Self {
        Self {
            kernel: String::new(),
            block: [0; 3],
            warp: 0,
            lane: None,
            instruction: String::new(),
            what: what.into(),
        }
    }

    pub(super) fn in_kernel(kernel: &str, what: impl Into<String>) -> Self {
        let kernel = kernel.to_owned();
        Self {
            kernel,
            ..Self::outside(what)
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernel.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "kernel '{}'", self.kernel)?;
        if self.instruction.is_empty() {
            return write!(f, ": {}", self.what);
        }
        write!(f, ", block {:?}, warp {}", self.block, self.warp)?;
        if let Some(lane) = self.lane {
            write!(f, ", lane {lane}")?;
        }
        write!(f, ": {}\n  at {}", self.what, self.instruction)
    }
}

/// A fault without its place, which the warp's runner adds.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) lane: Option<u32>,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn warp(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { lane: None, what }
    }

    pub(super) fn lane(lane: usize, what: impl Into<String>) -> Self {
        Self {
            lane: Some(lane as u32),
            what: what.into(),
        }
    }
}
