//! Entropy-coded bytes in, bits out, first bit first; stuffed zeros are taken out on the way.

/// Reads bits up to the next marker; behind it come zeros, which [`Bits::overrun`] tells. Small enough
/// to be copied into a loop, so that it stays in registers there.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The highest `count` bits are unread; those below are zero or what the data goes on with.
    buffer: u64,
    count: u32,
    /// How many of the bits ever put into the buffer, at its end, are not from the data.
    padding: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            buffer: 0,
            count: 0,
            padding: 0,
        }
    }

    /// Makes at least 32 bits available.
    #[inline]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(&bytes) = self
            .data
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<8>())
        {
            let word = u64::from_be_bytes(bytes);
            // No byte of the word is 0xff: none of its complement is zero.
            let complement = !word;
            if complement.wrapping_sub(u64::from_ne_bytes([0x01; 8]))
                & word
                & u64::from_ne_bytes([0x80; 8])
                == 0
            {
                self.buffer |= word >> self.count;
                let whole = (63 - self.count) / 8;
                self.count += 8 * whole;
                self.at += whole as usize;
                return;
            }
        }
        *self = self.refilled();
    }

    /// Byte by byte. Not by reference, which would keep the reader in memory.
    #[cold]
    fn refilled(mut self) -> Self {
        while self.count < 32 {
            self.push_byte();
        }
        self
    }

    fn push_byte(&mut self) {
        let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
            (Some(0xff), Some(0)) => {
                self.at += 2;
                0xff
            }
            (Some(0xff), _) | (None, _) => {
                self.padding = self.padding.saturating_add(8);
                0
            }
            (Some(&byte), _) => {
                self.at += 1;
                byte
            }
        };
        self.buffer |= u64::from(byte) << (56 - self.count);
        self.count += 8;
    }

    /// The next `count` (up to 16) bits without taking them; [`refill`](Self::refill) first.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> usize {
        // In two steps, since none of the bits may be wanted.
        (self.buffer >> 1 >> (63 - count)) as usize
    }

    /// Takes bits that were peeked at.
    #[inline]
    pub(super) fn take(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next `count` (up to 16) bits; [`refill`](Self::refill) first.
    #[inline]
    pub(super) fn read(&mut self, count: u32) -> i32 {
        let value = self.peek(count) as i32;
        self.take(count);
        value
    }

    /// One bit.
    #[inline]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.read(1) != 0
    }

    /// A value of `size` bits in the code of T.81, F.1.2.1: the lower half is negative.
    #[inline]
    pub(super) fn signed(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        extend(self.read(size), size)
    }

    /// Whether bits were taken that the data does not hold.
    #[inline]
    pub(super) fn overrun(&self) -> bool {
        self.padding > self.count
    }

    /// Passes over a restart marker, which must be next; the bits before it are dropped.
    pub(super) fn restart(&mut self) -> bool {
        (self.buffer, self.count, self.padding) = (0, 0, 0);
        let Some(marker) = self.data.get(self.at..).and_then(marker_offset) else {
            return false;
        };
        self.at += marker + 1;
        let found = matches!(self.data[self.at], 0xd0..=0xd7);
        self.at += 1;
        found
    }

    /// Where the next marker begins.
    pub(super) fn end(&self) -> usize {
        let rest = self.data.get(self.at..).unwrap_or_default();
        self.at + marker_offset(rest).map_or(rest.len(), |marker| marker)
    }
}

/// The value that `size` (1 to 16) bits stand for.
#[inline]
pub(super) fn extend(bits: i32, size: u32) -> i32 {
    let lower_half = (bits >> (size - 1)) - 1;
    bits + (lower_half & (1 - (1 << size)))
}

/// Where in `data` the 0xff of the next marker stands.
fn marker_offset(data: &[u8]) -> Option<usize> {
    data.windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
}
