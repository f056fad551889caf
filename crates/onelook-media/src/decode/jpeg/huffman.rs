//! A Huffman table's definition in, symbols out (T.81, annexes C and F.2.2.3).

use super::bits::Bits;
use super::error::corrupt;
use crate::DecodeError;

const LOOKUP_BITS: u32 = 9;
const LONGEST: usize = 16;

/// Codes of up to 16 bits for symbols of a byte.
#[derive(Clone)]
pub(super) struct Huffman {
    /// By the next 9 bits: length of the code (0 where it is longer) and symbol.
    lookup: Box<[(u8, u8); 1 << LOOKUP_BITS]>,
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
            }
        }
    }

    /// The next symbol; at least 16 bits must be available.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, DecodeError> {
        let (length, symbol) = self.lookup[bits.peek(LOOKUP_BITS)];
        if length > 0 {
            bits.take(length.into());
            return Ok(symbol);
        }
        self.long_symbol(bits)
    }

    #[cold]
    fn long_symbol(&self, bits: &mut Bits<'_>) -> Result<u8, DecodeError> {
        let code = bits.peek(LONGEST as u32) as u32;
        let length = (1..=LONGEST)
            .find(|&length| code < self.ends[length])
            .ok_or_else(|| corrupt("a code is in no Huffman table"))?;
        bits.take(length as u32);
        let position = (code >> (LONGEST - length)) as i32 + self.offsets[length];
        let symbol = usize::try_from(position)
            .ok()
            .and_then(|at| self.symbols.get(at));
        symbol
            .copied()
            .ok_or_else(|| corrupt("a code is in no Huffman table"))
    }
}
