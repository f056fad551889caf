//! Device memory: buffers with address ranges far apart, which of their bytes were written, and
//! what a launch may access. A launch never reads or writes a byte that was not passed to it.

use super::trap::{Fault, Trap};

/// An allocation of a [`Machine`](super::Machine).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Buffer(pub(super) usize);

/// Bits of an address that count bytes within one buffer.
const SPAN: u32 = 36;

/// All buffers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    buffers: Vec<Allocation>,
}

/// One buffer.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) bytes: Vec<u8>,
    /// 1 where the byte was written.
    pub(super) written: Vec<u8>,
    /// Whether a launch may have written here.
    pub(super) written_by_launches: bool,
}

/// Bytes of a buffer that a launch may access.
#[derive(Debug, Clone, Copy)]
pub(super) struct GrantedRange {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) writable: bool,
    /// Whether some range of the launch that overlaps this one is writable.
    pub(super) tracked: bool,
}

impl GrantedRange {
    pub(super) fn holds(&self, address: u64, bytes: u32) -> bool {
        address >= self.first && address.saturating_add(u64::from(bytes)) <= self.end
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.first < other.end && other.first < self.end
    }
}

/// The buffer that an address lies in, and the byte there.
pub(super) fn place_of(address: u64) -> (usize, usize) {
    let buffer = (address >> SPAN) as usize;
    let byte = address & ((1 << SPAN) - 1);
    (buffer.wrapping_sub(1), byte as usize)
}

/// The address of a buffer's byte.
pub(super) fn address_of(buffer: Buffer, offset: usize) -> u64 {
    ((buffer.0 as u64 + 1) << SPAN) + offset as u64
}

impl Memory {
    pub(super) fn allocate(&mut self, bytes: usize) -> Buffer {
        self.buffers.push(Allocation {
            bytes: vec![0xcd; bytes],
            written: vec![0; bytes],
            written_by_launches: false,
        });
        Buffer(self.buffers.len() - 1)
    }

    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.buffers.iter().map(|buffer| buffer.bytes.len())
    }

    pub(super) fn buffer(&mut self, buffer: usize) -> &mut Allocation {
        &mut self.buffers[buffer]
    }

    pub(super) fn of(&self, buffer: Buffer) -> &Allocation {
        &self.buffers[buffer.0]
    }

    /// Whether a range of a buffer exists.
    pub(super) fn check(&self, buffer: Buffer, offset: usize, bytes: usize) -> Result<(), Trap> {
        let size = self.buffers.get(buffer.0).map_or(0, |own| own.bytes.len());
        if offset.checked_add(bytes).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let what =
            format!("bytes {offset} to {offset} + {bytes} lie outside of a buffer of {size}");
        Err(Trap::outside(what))
    }

    /// Loads `N` bytes at an address that a granted range contains.
    pub(super) fn load<const N: usize>(&self, address: u64) -> Result<[u8; N], String> {
        let (buffer, at) = place_of(address);
        let own = &self.buffers[buffer];
        let written: &[u8; N] = own.written[at..at + N].try_into().expect("N bytes");
        if *written != [1; N] {
            let first = written.iter().position(|&byte| byte != 1).unwrap_or(0);
            return Err(format!(
                "poison: byte {} of buffer {buffer} has no value (a load of {N} bytes at {at})",
                at + first
            ));
        }
        Ok(own.bytes[at..at + N].try_into().expect("N bytes"))
    }

    /// Loads 1, 2, 4, 8 or 16 bytes at an address that a granted range contains.
    pub(super) fn load_some(&self, address: u64, bytes: u32) -> Result<[u8; 16], String> {
        let mut value = [0; 16];
        match bytes {
            1 => value[..1].copy_from_slice(&self.load::<1>(address)?),
            2 => value[..2].copy_from_slice(&self.load::<2>(address)?),
            4 => value[..4].copy_from_slice(&self.load::<4>(address)?),
            8 => value[..8].copy_from_slice(&self.load::<8>(address)?),
            16 => value = self.load::<16>(address)?,
            _ => return Err(format!("no load has {bytes} bytes")),
        }
        Ok(value)
    }

    /// Records that a launch may have written the buffer.
    pub(super) fn mark(&mut self, address: u64) {
        self.buffers[place_of(address).0].written_by_launches = true;
    }

    pub(super) fn is_written_by_launches(&self, address: u64) -> bool {
        self.buffers[place_of(address).0].written_by_launches
    }

    pub(super) fn store(&mut self, address: u64, values: &[u8]) {
        let (buffer, at) = place_of(address);
        let own = &mut self.buffers[buffer];
        own.bytes[at..at + values.len()].copy_from_slice(values);
        own.written[at..at + values.len()].fill(1);
    }
}

/// The ranges of a launch.
#[derive(Debug, Default)]
pub(super) struct GrantedRanges {
    pub(super) all: Vec<GrantedRange>,
}

impl GrantedRanges {
    pub(super) fn new(mut all: Vec<GrantedRange>) -> Self {
        for at in 0..all.len() {
            all[at].tracked = all
                .iter()
                .any(|other| other.writable && other.meets(&all[at]));
        }
        Self { all }
    }

    /// The range that allows an access; the one that did last is tried first.
    pub(super) fn find(
        &self,
        latest: &mut usize,
        lane: usize,
        (address, bytes): (u64, u32),
        write: bool,
    ) -> Result<&GrantedRange, Fault> {
        let fits = |range: &GrantedRange| range.holds(address, bytes) && (range.writable || !write);
        if !self.all.get(*latest).is_some_and(fits) {
            match self.all.iter().position(fits) {
                Some(found) => *latest = found,
                None => return Err(Fault::lane(lane, self.outside(address, bytes, write))),
            }
        }
        if address % u64::from(bytes) != 0 {
            let what = format!("misaligned: {bytes} bytes at {}", named(address));
            return Err(Fault::lane(lane, what));
        }
        Ok(&self.all[*latest])
    }

    fn outside(&self, address: u64, bytes: u32, write: bool) -> String {
        let here = named(address);
        if self.all.iter().any(|range| range.holds(address, bytes)) {
            return format!("a store of {bytes} bytes to {here}, which the launch only reads");
        }
        let what = if write { "store" } else { "load" };
        let near: Vec<String> = self
            .all
            .iter()
            .filter(|range| place_of(range.first).0 == place_of(address).0)
            .map(|range| format!("{} to {}", place_of(range.first).1, place_of(range.end).1))
            .collect();
        let near = near.join(", ");
        format!(
            "out of bounds: a {what} of {bytes} bytes at {here}; given are bytes [{near}] of it"
        )
    }
}

/// An address in words, for error messages.
pub(super) fn named(address: u64) -> String {
    let (buffer, byte) = place_of(address);
    format!("byte {byte} of buffer {buffer}")
}
