//! The constants of a plan, which kernels only read, in one block of bytes.

/// Constants start on boundaries of so many bytes.
const ALIGNMENT: usize = 256;

/// The block as it grows.
#[derive(Debug, Default)]
pub struct Constants(pub Vec<u8>);

impl Constants {
    /// Adds bytes; where they start.
    pub fn add(&mut self, bytes: &[u8]) -> usize {
        let start = self.0.len().next_multiple_of(ALIGNMENT);
        self.0.resize(start, 0);
        self.0.extend_from_slice(bytes);
        start
    }
}
