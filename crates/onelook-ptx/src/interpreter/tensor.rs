//! Tensor copies (TMA): boxes of a tensor, or windows of a convolution, on their way to shared
//! memory beside the threads. What lies outside of the tensor arrives as zeros.

use super::context::{BlockContext, LaunchContext};
use super::lanes::{ThreadId, lanes_of};
use super::pending::TensorTransfer;
use super::shared_memory::Shared;
use super::tensor_map::{CopyMode, TensorMap, swizzled};
use super::trap::Fault;
use super::value::Value;
use super::warp::Warp;
use crate::lang::{Address, Cache, Operand};

/// Alignment that tensor copies need in shared memory.
const ALIGNMENT: u32 = 128;

impl Warp {
    pub(super) fn tensor_load(
        &mut self,
        (to, barrier): (Address, Address),
        map: usize,
        (coordinates, window): (&[Operand], &[Operand]),
        block: &mut BlockContext<'_>,
        device: &mut LaunchContext<'_>,
    ) -> Result<(), Fault> {
        let Some(Value::TensorMap(map)) = device.values.get(map) else {
            return Err(Fault::warp(format!("parameter {map} is no tensor map")));
        };
        let (
            Address::Shared { base, offset },
            Address::Shared {
                base: barrier,
                offset: beyond,
            },
        ) = (to, barrier)
        else {
            return Err(Fault::warp("a tensor load goes to shared memory"));
        };
        if coordinates.len() != map.extents.len() {
            let what = "coordinates for a tensor of another number of axes";
            return Err(Fault::warp(format!("{} {what}", coordinates.len())));
        }
        let windows = matches!(map.mode, CopyMode::Im2col { .. });
        if windows == window.is_empty() {
            return Err(Fault::warp(
                "offsets in the window do not fit the kind of tensor map",
            ));
        }
        let (places, barriers) = (self.local(base, offset)?, self.local(barrier, beyond)?);
        let words = |registers: &super::lanes::Registers, of: &[Operand]| {
            of.iter()
                .map(|&operand| registers.operand(operand))
                .collect::<Result<Vec<_>, _>>()
        };
        let (coordinates, window) = (
            words(&self.registers, coordinates)?,
            words(&self.registers, window)?,
        );
        for lane in lanes_of(self.registers.active) {
            let thread = self.thread(lane);
            let at: Vec<i64> = coordinates
                .iter()
                .map(|c| i64::from(c[lane].cast_signed()))
                .collect();
            let window: Vec<u32> = window.iter().map(|c| c[lane]).collect();
            let barrier = block.shared.mbarrier_for_copy(thread, barriers[lane])?;
            let flight =
                device.begin_flight(block, thread, map, (places[lane], barrier), &at, &window)?;
            block.shared.transfers.push(flight);
        }
        Ok(())
    }
}

impl LaunchContext<'_> {
    fn begin_flight(
        &mut self,
        block: &mut BlockContext<'_>,
        thread: ThreadId,
        map: &TensorMap,
        (to, barrier): (u32, usize),
        at: &[i64],
        window: &[u32],
    ) -> Result<TensorTransfer, Fault> {
        let row_bytes = map.row_bytes();
        if !to.is_multiple_of(ALIGNMENT) {
            let what =
                format!("misaligned: a tensor load to {to}, which {ALIGNMENT} does not divide");
            return Err(Fault::lane(thread.lane, what));
        }
        let mut flight = TensorTransfer {
            to: Vec::new(),
            rows: Vec::new(),
            row_bytes,
            barrier,
        };
        let vectors = row_bytes / 16;
        for (number, row) in map.rows(at, window).iter().enumerate() {
            for vector in 0..vectors {
                let address = to + (number * row_bytes + 16 * vector) as u32;
                let place = block
                    .shared
                    .place(thread, swizzled(address, map.swizzle), 16)?;
                block
                    .shared
                    .check_fenced(thread, place, 16, "a tensor copy overwrites")?;
                block.shared.begin_copy(thread, place, 16)?;
                flight.to.push(place);
            }
            self.fetch_row(block, thread, map, row, &mut flight.rows)?;
        }
        Ok(flight)
    }

    fn fetch_row(
        &mut self,
        block: &mut BlockContext<'_>,
        thread: ThreadId,
        map: &TensorMap,
        row: &[i64],
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let element = map.element_bytes;
        let step = match map.mode {
            CopyMode::Tiled(_) => map.element_strides[0].max(1),
            CopyMode::Im2col { .. } => 1,
        };
        let address = map.row_address(row);
        let mut last = None;
        for number in 0..map.row_bytes() as u32 / element {
            let index = row[0] + i64::from(number * step);
            let inside = address.filter(|_| (0..map.extents[0] as i64).contains(&index));
            let mut value = [0; 16];
            if let Some(address) = inside {
                let address = address + index as u64 * u64::from(element);
                value = self.load(block, thread, (address, element), Cache::Default)?;
                let sector = Some(address / 32);
                self.report.requested_bytes += if sector == last { 0 } else { 32 };
                last = sector;
            }
            into.extend_from_slice(&value[..element as usize]);
        }
        Ok(())
    }
}

impl Shared {
    /// A tensor copy arrives.
    pub(super) fn complete(&mut self, number: usize) {
        let flight = self.transfers.swap_remove(number);
        self.clocks.tick_unit();
        for (&to, values) in flight.to.iter().zip(flight.rows.chunks_exact(16)) {
            self.end_copy(self.unit(), to, values);
        }
        let bytes = flight.rows.len() / flight.row_bytes.max(1) * flight.row_bytes;
        self.mbarrier_complete(flight.barrier, bytes as u32);
    }
}
