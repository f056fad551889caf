//! The numbers that NUT is made of, read together with their checksum.

use std::io::Read;

use super::error::NutError;

/// CRC-32 with generator 0x04C11DB7, highest bit first, nothing inverted; `sum` is that of the bytes before.
pub(super) fn crc(sum: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut sum = (byte as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                sum = (sum << 1) ^ ((sum >> 31) * 0x04C1_1DB7);
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(sum, |sum, &byte| {
        (sum << 8) ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

/// Fields of a header, and the checksum of those that were read.
pub(super) struct Checked<R> {
    input: R,
    sum: u32,
}

impl<R: Read> Checked<R> {
    /// `sum` is that of the bytes before.
    pub(super) fn new(input: R, sum: u32) -> Self {
        Self { input, sum }
    }

    fn byte(&mut self) -> Result<u8, NutError> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.sum = crc(self.sum, &byte);
        Ok(byte[0])
    }

    /// Seven bits a byte, the highest first; the eighth says that more follow.
    pub(super) fn number(&mut self) -> Result<u64, NutError> {
        let mut value = 0_u64;
        loop {
            let byte = self.byte()?;
            if value >> 57 != 0 {
                return Err(NutError::Number);
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    /// A number with its sign in the lowest bit.
    pub(super) fn signed(&mut self) -> Result<i64, NutError> {
        let coded = self.number()?;
        let coded = i64::try_from(coded)
            .ok()
            .and_then(|coded| coded.checked_add(1));
        let coded = coded.ok_or(NutError::Number)?;
        Ok(match coded & 1 {
            0 => coded >> 1,
            _ => -(coded >> 1),
        })
    }

    /// As many bytes as the number before them says.
    pub(super) fn bytes(&mut self, most: u64) -> Result<Vec<u8>, NutError> {
        let length = self.number()?;
        if length > most {
            return Err(NutError::PacketSize(length));
        }
        (0..length).map(|_| self.byte()).collect()
    }

    /// Reads the checksum of all before it.
    pub(super) fn checksum(&mut self) -> Result<(), NutError> {
        let expected = self.sum;
        let mut sum = [0; 4];
        self.input.read_exact(&mut sum)?;
        match u32::from_be_bytes(sum) == expected {
            true => Ok(()),
            false => Err(NutError::Checksum),
        }
    }
}

/// Appends a number as [`Checked::number`] reads it.
pub(super) fn push_number(out: &mut Vec<u8>, value: u64) {
    let septets = (64 - (value | 1).leading_zeros()).div_ceil(7);
    for septet in (0..septets).rev() {
        let more = if septet > 0 { 0x80 } else { 0 };
        out.push((value >> (7 * septet)) as u8 & 0x7f | more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_format() {
        // The check value of CRC-32/MPEG-2 without its start value.
        assert_eq!(crc(0xffff_ffff, b"123456789"), 0x0376_E6E7);
        assert_eq!(crc(crc(0, b"12345"), b"6789"), crc(0, b"123456789"));
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for value in [0, 1, 127, 128, 90_000, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, value);
            assert_eq!(Checked::new(&bytes[..], 0).number(), Ok(value));
        }
        let endless = [0xff; 20];
        assert_eq!(
            Checked::new(&endless[..], 0).number(),
            Err(NutError::Number)
        );
        let signed = |coded: u8| Checked::new(&[coded][..], 0).signed().unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(signed), [0, 1, -1, 2, -2]);
    }
}
