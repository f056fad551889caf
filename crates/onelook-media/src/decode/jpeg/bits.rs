//! Entropy-coded bytes in, bits out, first bit first; stuffed zeros are taken out on the way.

/// Reads bits up to the next marker; behind it come zeros, which [`Bits::overrun`] tells.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The lowest `count` bits are unread.
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
        if let Some(&[a, b, c, d]) = self
            .data
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<4>())
        {
            let word = u32::from_be_bytes([a, b, c, d]);
            // No byte of the word is 0xff: none of its complement is zero.
            let complement = !word;
            if complement.wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
                self.buffer = self.buffer << 32 | u64::from(word);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        while self.count < 32 {
            self.push_byte();
        }
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
        self.buffer = self.buffer << 8 | u64::from(byte);
        self.count += 8;
    }

    /// The next `count` (up to 16) bits without taking them; [`refill`](Self::refill) first.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (self.count - count)) as usize & ((1 << count) - 1)
    }

    /// Takes bits that were peeked at.
    #[inline]
    pub(super) fn take(&mut self, count: u32) {
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
        let value = self.read(size);
        if value < 1 << (size - 1) {
            value - (1 << size) + 1
        } else {
            value
        }
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

/// Where in `data` the 0xff of the next marker stands.
fn marker_offset(data: &[u8]) -> Option<usize> {
    data.windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
}
