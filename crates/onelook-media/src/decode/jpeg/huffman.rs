//! A Huffman table's definition in, symbols out (T.81, annexes C and F.2.2.3).

use super::bits::{Bits, extend};
use super::error::corrupt;
use crate::DecodeError;

const LOOKUP_BITS: u32 = 10;
const LONGEST: usize = 16;

/// What one look at the next 10 bits tells of AC coefficients: a code and the bits of its value, where
/// both are that short.
#[derive(Clone, Copy, Default)]
pub(super) struct ShortCode {
    /// Bits of code and value together; 0 where they are longer.
    pub(super) length: u8,
    /// Zeros ahead of the value, or zeros alone; 64 at the end of a block.
    pub(super) zeros: u8,
    /// Zero where none belongs to the code.
    pub(super) value: i16,
}

/// Codes of up to 16 bits for symbols of a byte.
#[derive(Clone)]
pub(super) struct Huffman {
    /// By the next 10 bits: length of the code (0 where it is longer) and symbol.
    lookup: Box<[(u8, u8); 1 << LOOKUP_BITS]>,
    /// By the next 10 bits, if the table is one of AC coefficients.
    short: Box<[ShortCode; 1 << LOOKUP_BITS]>,
    /// By length: the first code after those of this length, brought to 16 bits.
    ends: [u32; LONGEST + 1],
    /// By length: what to add to a code to get its symbol's position.
    offsets: [i32; LONGEST + 1],
    symbols: Vec<u8>,
}

impl Huffman {
    /// Reads a definition; also tells how many bytes it took.
    pub(super) fn read(payload: &[u8]) -> Result<(Self, usize), DecodeError> {
        let broken = || corrupt("a Huffman table is broken");
        let (counts, rest) = payload.split_at_checked(LONGEST).ok_or_else(broken)?;
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let symbols = rest.get(..total).ok_or_else(broken)?;
        let mut table = Self {
            lookup: Box::new([(0, 0); 1 << LOOKUP_BITS]),
            short: Box::new([ShortCode::default(); 1 << LOOKUP_BITS]),
            ends: [0; LONGEST + 1],
            offsets: [0; LONGEST + 1],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut position) = (0usize, 0usize);
        for (length, &count) in (1..).zip(counts) {
            table.offsets[length] = position as i32 - code as i32;
            for _ in 0..count {
                table.enter(code, length, symbols[position]);
                code += 1;
                position += 1;
            }
            if code > 1 << length {
                return Err(broken());
            }
            table.ends[length] = (code << (LONGEST - length)) as u32;
            code <<= 1;
        }
        Ok((table, LONGEST + total))
    }

    fn enter(&mut self, code: usize, length: usize, symbol: u8) {
        let lookup_bits = LOOKUP_BITS as usize;
        if length <= lookup_bits {
            let first = code << (lookup_bits - length);
            let last = (code + 1) << (lookup_bits - length);
            // An overfull table is found out after this length's codes.
            if let Some(entries) = self.lookup.get_mut(first..last) {
                entries.fill((length as u8, symbol));
                self.enter_short(first, length, symbol);
            }
        }
    }

    /// Enters the codes that begin with the one of `symbol`, whose entries start at `first`.
    fn enter_short(&mut self, first: usize, length: usize, symbol: u8) {
        let (zeros, size) = (symbol >> 4, usize::from(symbol & 15));
        let Some(spare) = (LOOKUP_BITS as usize).checked_sub(length + size) else {
            return;
        };
        for bits in 0..1 << size {
            let (zeros, value) = match (zeros, size) {
                (15, 0) => (16, 0),
                (_, 0) => (64, 0),
                _ => (zeros, extend(bits, size as u32)),
            };
            self.short[first + ((bits as usize) << spare)..][..1 << spare].fill(ShortCode {
                length: (length + size) as u8,
                zeros,
                value: value as i16,
            });
        }
    }

    /// What the next 10 bits tell of AC coefficients; they are not taken.
    #[inline]
    pub(super) fn short(&self, bits: &Bits<'_>) -> ShortCode {
        self.short[bits.peek(LOOKUP_BITS)]
    }

    /// The next symbol; at least 16 bits must be available.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, DecodeError> {
        let (length, symbol) = self.lookup[bits.peek(LOOKUP_BITS)];
        if length > 0 {
            bits.take(length.into());
            return Ok(symbol);
        }
        let (length, symbol) = self.long_symbol(bits.peek(LONGEST as u32) as u32)?;
        bits.take(length);
        Ok(symbol)
    }

    /// Length and symbol of the code that these 16 bits begin with.
    #[cold]
    fn long_symbol(&self, code: u32) -> Result<(u32, u8), DecodeError> {
        let length = (1..=LONGEST)
            .find(|&length| code < self.ends[length])
            .ok_or_else(|| corrupt("a code is in no Huffman table"))?;
        let position = (code >> (LONGEST - length)) as i32 + self.offsets[length];
        let symbol = usize::try_from(position)
            .ok()
            .and_then(|at| self.symbols.get(at));
        symbol
            .map(|&symbol| (length as u32, symbol))
            .ok_or_else(|| corrupt("a code is in no Huffman table"))
    }
}
