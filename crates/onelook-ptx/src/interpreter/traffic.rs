//! What accesses cost: 32-byte sectors of global memory, wavefronts of shared memory.

use super::global::place_of;
use super::lanes::{WARP, lanes_of};

/// Bytes that L2 and DRAM move at least.
const SECTOR: u64 = 32;
/// Banks of shared memory, a word each.
const BANKS: usize = 32;

/// Different sectors that the active lanes' accesses touch.
pub(super) fn sectors(addresses: &[u64; WARP], active: u32, bytes: u32) -> u64 {
    let mut seen = [0; WARP];
    let mut count = 0;
    let mut last = u64::MAX;
    for lane in lanes_of(active) {
        let sector = (addresses[lane]) / SECTOR;
        if sector == last || (sector < last && seen[..count].contains(&sector)) {
            continue;
        }
        last = sector;
        seen[count] = sector;
        count += 1;
    }
    debug_assert!(
        u64::from(bytes) <= SECTOR,
        "aligned accesses lie in one sector"
    );
    count as u64
}

/// Wavefronts beyond the least: vector accesses go by groups of lanes that make 128 bytes.
pub(super) fn conflicts(addresses: &[u32; WARP], active: u32, bytes: u32) -> u64 {
    let group = if bytes <= 4 { 32 } else { 128 / bytes };
    let groups = WARP as u32 / group;
    (0..groups)
        .map(|number| {
            let mask = ((1u64 << group) - 1) as u32;
            let lanes = active & mask << (number * group);
            wavefronts(addresses, lanes, bytes).saturating_sub(1)
        })
        .sum()
}

/// The most different words that one bank has to give.
fn wavefronts(addresses: &[u32; WARP], lanes: u32, bytes: u32) -> u64 {
    let mut first = [u32::MAX; BANKS];
    let mut more: Vec<u32> = Vec::new();
    for lane in lanes_of(lanes) {
        for part in 0..bytes.div_ceil(4) {
            let word = addresses[lane] / 4 + part;
            let bank = &mut first[word as usize % BANKS];
            if *bank == u32::MAX {
                *bank = word;
            } else if *bank != word && !more.contains(&word) {
                more.push(word);
            }
        }
    }
    let mut counts = [0; BANKS];
    for word in more {
        counts[word as usize % BANKS] += 1;
    }
    1 + counts.into_iter().max().unwrap_or(0)
}

/// Which sectors of the buffers a launch has touched.
#[derive(Debug)]
pub(super) struct TouchedSectors {
    buffers: Vec<Vec<u64>>,
    sizes: Vec<usize>,
    count: u64,
}

impl TouchedSectors {
    pub(super) fn new(sizes: impl Iterator<Item = usize>) -> Self {
        let sizes: Vec<usize> = sizes.collect();
        Self {
            buffers: vec![Vec::new(); sizes.len()],
            sizes,
            count: 0,
        }
    }

    pub(super) fn touch(&mut self, address: u64) {
        let (buffer, byte) = place_of(address);
        let own = &mut self.buffers[buffer];
        if own.is_empty() {
            own.resize(self.sizes[buffer] / (64 * SECTOR as usize) + 1, 0);
        }
        let sector = byte / SECTOR as usize;
        let bit = 1 << (sector % 64);
        self.count += u64::from(own[sector / 64] & bit == 0);
        own[sector / 64] |= bit;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.count * SECTOR
    }
}
