//! Tile selection: a cost model estimates every valid tile of a product, the cheapest is taken.
//!
//! The model counts clocks: waves of blocks, each a fixed latency to fill its pipeline and to
//! store, and per chunk the slowest of matrix units, shared memory, L2 and the chain of one warp.

use std::collections::HashMap;

use onelook_ptx::lang::{Feature, Target};

use super::gpu::Gpu;
use crate::kernels::Element;
use crate::kernels::conv::{Pipeline, Store};
use crate::kernels::gemm::{Gemm, Tile};

/// Clocks until a block's first chunk has arrived, and from its last product to the stored tile.
const FILL_CLOCKS: f64 = 900.0;
const STORE_CLOCKS: f64 = 700.0;
/// Clocks of a chunk that nothing hides: waiting, the barrier, loading fragments.
const TURN_CLOCKS: f64 = 90.0;
/// Clocks from requesting a chunk to its arrival, from L2.
const ARRIVAL_CLOCKS: f64 = 480.0;
/// Instructions of a thread for a vector of a depthwise convolution.
const DEPTHWISE_INSTRUCTIONS: f64 = 230.0;
/// Clocks from one product of matrices to the next that needs its sums.
const PRODUCT_CLOCKS: f64 = 34.0;
/// Registers that a thread needs besides sums and fragments.
const OTHER_REGISTERS: u32 = 48;

/// The product that a tile is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Product {
    /// Format of the operands.
    pub element: Element,
    /// Rows: pixels of all images.
    pub rows: u32,
    /// Columns: output channels.
    pub columns: u32,
    /// 16-byte vectors of k.
    pub vectors: u32,
    /// Whether a block holds its rows' whole k in shared memory.
    pub resident: bool,
}

impl Product {
    /// Bytes of shared memory with a tile.
    pub fn shared_bytes(&self, tile: &Tile) -> u32 {
        let resident = match self.resident {
            true => self.vectors.div_ceil(tile.vectors) * tile.a_bytes(),
            false => 0,
        };
        let work = resident + Pipeline::stages_bytes(tile, self.resident);
        let after = Store::bytes(self.element, tile).max(Gemm::slice_bytes(tile));
        work.max(after)
    }
}

/// The tiles chosen so far: networks repeat their layers.
#[derive(Debug, Default)]
pub struct Tiles(HashMap<Product, Tile>);

impl Tiles {
    /// The cheapest tile on this GPU, always the same one.
    pub fn choose(&mut self, gpu: &Gpu, product: &Product) -> Tile {
        let tile = self.0.entry(*product);
        *tile.or_insert_with(|| cheapest(gpu, product))
    }
}

fn cheapest(gpu: &Gpu, product: &Product) -> Tile {
    let cost = |tile: &Tile| clocks(gpu, product, tile);
    candidates(gpu.target, product)
        .into_iter()
        .min_by(|a, b| cost(a).total_cmp(&cost(b)))
        .expect("the smallest tile fits every target")
}

fn candidates(target: Target, product: &Product) -> Vec<Tile> {
    let stages: &[u32] = match target.has(Feature::AsyncCopy) {
        true => &[2, 3, 4, 6],
        false => &[2],
    };
    let mut columns = vec![16, 32, 64, 128];
    let exact = product.columns.next_multiple_of(8);
    if exact <= 128 && !columns.contains(&exact) {
        columns.push(exact);
    }
    let mut tiles = Vec::new();
    for m in [16, 32, 64, 128] {
        for &n in &columns {
            for vectors in [2, 4, 8] {
                for warps in WARPS {
                    for &stages in stages {
                        tiles.push(Tile {
                            m,
                            n,
                            vectors,
                            warps,
                            stages,
                        });
                    }
                }
            }
        }
    }
    tiles.retain(|tile| {
        tile.n / 2 < product.columns.max(16)
            && tile.m / 2 < product.rows.max(16)
            && tile.is_sound(product.element)
            && product.shared_bytes(tile) as usize <= target.shared_bytes_per_block()
            && registers(product.element, tile) <= 168
    });
    tiles
}

/// Warps along rows, columns and k.
const WARPS: [[u32; 3]; 16] = [
    [1, 1, 1],
    [2, 1, 1],
    [1, 2, 1],
    [1, 1, 2],
    [4, 1, 1],
    [2, 2, 1],
    [1, 4, 1],
    [2, 1, 2],
    [1, 2, 2],
    [1, 1, 4],
    [8, 1, 1],
    [4, 2, 1],
    [2, 4, 1],
    [2, 2, 2],
    [4, 1, 2],
    [1, 2, 4],
];

/// Registers of a thread, about.
fn registers(element: Element, tile: &Tile) -> u32 {
    let [rows, columns, _] = tile.warps;
    let (m, n) = (tile.m / rows, tile.n / columns);
    let sums = m * n / 32;
    let fragments = match element {
        Element::F16 => m / 16 * 4 + n / 8 * 2,
        Element::F32 => m / 16 * 8 + 8,
    };
    sums + fragments + OTHER_REGISTERS
}

/// Clocks that the product takes with a tile, about.
pub fn clocks(gpu: &Gpu, product: &Product, tile: &Tile) -> f64 {
    let element = product.element;
    let blocks = product.rows.div_ceil(tile.m) * product.columns.div_ceil(tile.n);
    let resident_blocks = residents(gpu.target, product, tile);
    let neighbours = blocks
        .div_ceil(gpu.multiprocessors)
        .min(resident_blocks)
        .max(1);
    let waves = blocks.div_ceil(gpu.multiprocessors * resident_blocks);
    let chunks = product.vectors.div_ceil(tile.vectors);
    let busy = busy_clocks(gpu, product, tile) * f64::from(neighbours);
    let ahead = f64::from(tile.stages - 1);
    let turn = busy
        .max(chain_clocks(element, tile))
        .max(ARRIVAL_CLOCKS / ahead);
    let stored = f64::from(tile.m * tile.n * element.bytes()) / gpu.l2_bytes_per_clock;
    let mut ends = FILL_CLOCKS + STORE_CLOCKS + stored * f64::from(neighbours);
    if product.resident {
        // Four warps issue at a time.
        let vectors = f64::from(tile.m * product.vectors) / 32.0;
        ends += vectors * DEPTHWISE_INSTRUCTIONS / 4.0 * f64::from(neighbours) + FILL_CLOCKS;
    }
    f64::from(waves) * (ends + f64::from(chunks) * turn)
}

/// Blocks that a multiprocessor holds at a time.
fn residents(target: Target, product: &Product, tile: &Tile) -> u32 {
    let threads = tile.threads();
    let by_threads = target.threads_per_multiprocessor() as u32 / threads;
    let memory = product.shared_bytes(tile) as usize + 1024;
    let by_memory = target.shared_bytes_per_multiprocessor() / memory;
    let by_registers = 65536 / (registers(product.element, tile).next_multiple_of(8) * threads);
    by_threads
        .min(by_memory as u32)
        .min(by_registers)
        .clamp(1, 16)
}

/// Clocks of a chunk for which a block keeps some unit of its multiprocessor busy.
fn busy_clocks(gpu: &Gpu, product: &Product, tile: &Tile) -> f64 {
    let element = product.element;
    let [rows, columns, slices] = tile.warps;
    let k = tile.chunk(element);
    let products = f64::from(tile.m * tile.n * k);
    let arithmetic = match element {
        Element::F16 => products / gpu.f16_fma_per_clock,
        Element::F32 => products / gpu.f32_fma_per_clock,
    };
    let copied = match product.resident {
        true => tile.b_bytes(),
        false => tile.a_bytes() + tile.b_bytes(),
    };
    let traffic = f64::from(copied) / gpu.l2_bytes_per_clock;
    let fragments = rows * columns * (tile.m / rows + tile.n / columns) * k * element.bytes();
    let shared = f64::from(fragments + copied) / 128.0;
    // Twelve instructions or so for a vector that a thread copies; four warps issue at a time.
    let issued = f64::from(copied / 16) / 32.0 * 12.0 / 4.0;
    let steps = match element {
        Element::F16 => f64::from(tile.vectors / 2 * rows * columns) * 8.0 / 4.0,
        Element::F32 => products / 32.0 / 4.0,
    };
    debug_assert!(slices > 0);
    arithmetic.max(traffic).max(shared).max(issued + steps)
}

/// Clocks of a chunk for one warp that shares no unit with others: latencies only.
fn chain_clocks(element: Element, tile: &Tile) -> f64 {
    let [rows, columns, slices] = tile.warps;
    let (m, n) = (tile.m / rows, tile.n / columns);
    let per_step = match element {
        Element::F16 => PRODUCT_CLOCKS.max(f64::from(m / 16 * (n / 8)) * 8.0),
        Element::F32 => f64::from(m * n / 32 * element.per_vector()) * 2.0,
    };
    let steps = match element {
        Element::F16 => tile.vectors / 2 / slices,
        Element::F32 => tile.vectors / slices,
    };
    TURN_CLOCKS + f64::from(steps) * per_step
}
