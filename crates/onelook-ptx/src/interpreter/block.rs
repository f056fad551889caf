//! The scheduler: which block and which warp runs next and for how many instructions, and what
//! happens when every warp of a block waits.

use super::code::Code;
use super::context::{BlockContext, LaunchContext};
use super::global::{GrantedRanges, Memory};
use super::races::{BlockHistory, RaceDetector};
use super::report::Report;
use super::schedule::{Random, Schedule};
use super::shared_memory::Shared;
use super::traffic::TouchedSectors;
use super::trap::{Fault, Trap};
use super::value::Value;
use super::warp::{Warp, WarpState};
use crate::lang::Kernel;

/// Blocks that run concurrently under an adversarial schedule.
const BESIDE: usize = 3;
/// The most steps that a warp takes in one turn under an adversarial schedule.
const STRETCH: usize = 200;

/// Steps of one turn when the schedule is in order. A limit, so that a kernel whose warp polls for
/// another warp's write does not hang.
const TURN: u64 = 1 << 20;

/// One block.
struct Block {
    index: [u32; 3],
    warps: Vec<Warp>,
    shared: Shared,
    history: BlockHistory,
    grid_waited: Vec<bool>,
    /// Whether the kernel has a `GridWait`, so that it may begin before others have ended.
    begins_early: bool,
    /// The warp that is considered first when the schedule is in order.
    first: usize,
}

/// Runs all blocks of a launch.
pub(super) fn run(
    memory: &mut Memory,
    kernel: &Kernel,
    grid: [u32; 3],
    values: &[Value],
    ranges: GrantedRanges,
    schedule: Schedule,
) -> Result<Report, Trap> {
    let code = Code::of(kernel);
    let mut device = LaunchContext {
        target: kernel.target,
        races: RaceDetector::new(&ranges.all, code.stores_bytes()),
        ranges,
        grid,
        values,
        latest: 0,
        report: Report::default(),
        read: TouchedSectors::new(memory.sizes()),
        written: TouchedSectors::new(memory.sizes()),
        random: Random(schedule.seed),
        memory,
    };
    let mut waiting = order(grid, schedule, &mut device.random);
    let beside = if schedule.seed == 0 { 1 } else { BESIDE };
    let mut blocks: Vec<Block> = Vec::new();
    while let Some(index) = waiting.next_if(|_| blocks.len() < beside) {
        blocks.push(Block::new(kernel, &code, index, grid));
    }
    while !blocks.is_empty() {
        let number = device.random.below(blocks.len());
        let block = &mut blocks[number];
        let ended = block.advance(kernel, &code, &mut device, schedule)?;
        if ended {
            device.report.blocks += 1;
            match waiting.next() {
                Some(index) => block.begin(index, grid),
                None => drop(blocks.swap_remove(number)),
            }
        }
    }
    device.report.read_bytes = device.read.bytes();
    device.report.written_bytes = device.written.bytes();
    Ok(device.report)
}

type Waiting = std::iter::Peekable<Box<dyn Iterator<Item = [u32; 3]>>>;

/// The blocks in the order in which they begin.
fn order(grid: [u32; 3], schedule: Schedule, random: &mut Random) -> Waiting {
    let count = grid.into_iter().map(u64::from).product::<u64>();
    let index = move |number: u64| {
        let (x, rest) = (number % u64::from(grid[0]), number / u64::from(grid[0]));
        let (y, z) = (rest % u64::from(grid[1]), rest / u64::from(grid[1]));
        [x as u32, y as u32, z as u32]
    };
    let all: Box<dyn Iterator<Item = [u32; 3]>> = if schedule.seed == 0 {
        Box::new((0..count).map(index))
    } else {
        let mut numbers: Vec<u64> = (0..count).collect();
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, random.below(last + 1));
        }
        Box::new(numbers.into_iter().map(index))
    };
    all.peekable()
}

impl Block {
    fn new(kernel: &Kernel, code: &Code<'_>, index: [u32; 3], grid: [u32; 3]) -> Self {
        let count = kernel.threads as usize / 32;
        let mut block = Self {
            index,
            warps: (0..count)
                .map(|warp| Warp::new(warp, kernel.registers))
                .collect(),
            shared: Shared::new(kernel.shared_bytes, count, code.has_units()),
            history: BlockHistory::default(),
            grid_waited: vec![false; count],
            begins_early: kernel.waits_for_grid(),
            first: 0,
        };
        block.begin(index, grid);
        block
    }

    fn begin(&mut self, index: [u32; 3], grid: [u32; 3]) {
        self.index = index;
        let [x, y, z] = index.map(u64::from);
        let [columns, rows, _] = grid.map(u64::from);
        self.history.begin((z * rows + y) * columns + x);
        self.grid_waited.fill(!self.begins_early);
        self.shared.reset();
        self.warps.iter_mut().for_each(Warp::reset);
    }

    /// Runs one warp, or releases all that wait at the barrier. Returns whether the block has
    /// ended.
    fn advance(
        &mut self,
        kernel: &Kernel,
        code: &Code<'_>,
        device: &mut LaunchContext<'_>,
        schedule: Schedule,
    ) -> Result<bool, Trap> {
        // A tensor copy may complete at any moment after its start. Completing a random one before
        // a random turn shows kernels that read its bytes without waiting for the mbarrier, and
        // kernels that rely on the order of two copies.
        let transfers = self.shared.transfers.len();
        if schedule.seed != 0 && transfers > 0 && device.random.below(4) == 0 {
            self.shared.complete(device.random.below(transfers));
        }
        let Some(number) = self.pick(schedule, &mut device.random) else {
            return self.meet(kernel, code, device);
        };
        let steps = match schedule.seed {
            0 => TURN,
            _ => 1 + device.random.below(STRETCH) as u64,
        };
        let mut context = BlockContext {
            index: self.index,
            shared: &mut self.shared,
            history: &mut self.history,
            grid_waited: &mut self.grid_waited,
        };
        let warp = &mut self.warps[number];
        warp.state = WarpState::Ready;
        let outcome = warp.run(code, &mut context, device, steps);
        let goes_on = warp.state == WarpState::Ready;
        self.first = (number + usize::from(goes_on)) % self.warps.len();
        outcome.map_err(|fault| self.trap(kernel, code, number, fault))?;
        Ok(false)
    }

    fn pick(&self, schedule: Schedule, random: &mut Random) -> Option<usize> {
        let ready = |warp: &&Warp| match warp.state {
            WarpState::Ready => true,
            WarpState::AtMbarrier { at, parity } => self.shared.mbarrier_passes(at, parity),
            WarpState::AtBarrier | WarpState::Ended => false,
        };
        if schedule.seed == 0 {
            let (before, from) = self.warps.split_at(self.first);
            let found = from.iter().chain(before).find(ready);
            return found.map(|warp| warp.number);
        }
        let count = self.warps.iter().filter(ready).count();
        let chosen = random.below(count);
        self.warps
            .iter()
            .filter(ready)
            .nth(chosen)
            .map(|warp| warp.number)
    }

    /// No warp can run: all have ended, all wait at the barrier, or the block is deadlocked.
    fn meet(
        &mut self,
        kernel: &Kernel,
        code: &Code<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<bool, Trap> {
        // The hardware finishes copies by itself, so only without any is a waiting block stuck.
        if !self.shared.transfers.is_empty() {
            if self.warps.iter().all(|warp| warp.state == WarpState::Ended) {
                let fault = Fault::warp("the block ends while tensor copies are under way");
                return Err(self.trap(kernel, code, 0, fault));
            }
            self.shared.complete(0);
            return Ok(false);
        }
        if let Some(fault) = self.deadlock() {
            let (number, what) = fault;
            return Err(self.trap(kernel, code, number, Fault::warp(what)));
        }
        if self.warps.iter().all(|warp| warp.state == WarpState::Ended) {
            return self.end(kernel, code);
        }
        let ended = self
            .warps
            .iter()
            .find(|warp| warp.state == WarpState::Ended);
        let stuck = self
            .warps
            .iter()
            .find(|warp| warp.state == WarpState::AtBarrier);
        if let (Some(ended), Some(stuck)) = (ended, stuck) {
            let what = format!(
                "waits at a barrier of the block that warp {} never reaches: it has ended",
                ended.number
            );
            let number = stuck.number;
            return Err(self.trap(kernel, code, number, Fault::warp(what)));
        }
        // All warps wait at the barrier. What one of them knows about the launches before this one
        // (it has executed `GridWait`) holds for all after it.
        device.report.barriers += 1;
        self.shared.clocks.block_barrier();
        let waited = self.grid_waited.contains(&true);
        self.grid_waited.fill(waited);
        for warp in &mut self.warps {
            warp.state = WarpState::Ready;
        }
        Ok(false)
    }

    /// The first warp that waits at an mbarrier which no running warp can complete, and a
    /// description of what every warp waits for.
    fn deadlock(&self) -> Option<(usize, String)> {
        let stuck = |warp: &&Warp| matches!(warp.state, WarpState::AtMbarrier { .. });
        let first = self.warps.iter().find(stuck)?;
        let mut what = "deadlock:".to_owned();
        for warp in &self.warps {
            let where_to = match warp.state {
                WarpState::Ready => continue,
                WarpState::Ended => "has ended".to_owned(),
                WarpState::AtBarrier => "waits at the barrier of the block".to_owned(),
                WarpState::AtMbarrier { at, parity } => format!(
                    "waits for parity {parity} of the mbarrier at byte {at} ({})",
                    self.shared.mbarrier_state(at)
                ),
            };
            what.push_str(&format!(" warp {} {where_to};", warp.number));
        }
        Some((first.number, what))
    }

    /// Ends the block. A kernel that has a `GridWait` must execute it in every block: otherwise it
    /// may end before the launches ahead of it, and a launch that waits only for this one would
    /// read what those have not written yet.
    fn end(&self, kernel: &Kernel, code: &Code<'_>) -> Result<bool, Trap> {
        if let Some(warp) = self.warps.iter().find(|warp| warp.products.any()) {
            let fault = Fault::warp("ends while wgmma is under way");
            return Err(self.trap(kernel, code, warp.number, fault));
        }
        if self.grid_waited.contains(&true) {
            return Ok(true);
        }
        let fault = Fault::warp("the block ends without GridWait, which the kernel has elsewhere");
        Err(self.trap(kernel, code, 0, fault))
    }

    fn trap(&self, kernel: &Kernel, code: &Code<'_>, warp: usize, fault: Fault) -> Trap {
        let place = match self.warps[warp].state {
            WarpState::AtBarrier => self.warps[warp].at.saturating_sub(1),
            _ => self.warps[warp].at,
        };
        Trap {
            kernel: kernel.name.clone(),
            block: self.index,
            warp: warp as u32,
            lane: fault.lane,
            instruction: code.describe(place),
            what: fault.what,
        }
    }
}
