//! A launch, as it is passed to a test that executes it in place of a GPU.

/// A launch.
#[repr(C)]
pub struct Launched {
    /// The kernel as PTX, UTF-8.
    pub text: *const u8,
    pub text_bytes: usize,
    pub grid: [u32; 3],
    pub values: *const LaunchArg,
    pub count: usize,
}

/// The value of a parameter.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LaunchArg {
    /// An address, or 32 bits.
    pub value: u64,
    /// Of an address: where its memory begins, and how many bytes that has.
    pub memory: u64,
    pub bytes: u64,
}

/// Runs a launch. The driver waits for it and must not be called from it.
pub type Hook = extern "C" fn(&Launched);
