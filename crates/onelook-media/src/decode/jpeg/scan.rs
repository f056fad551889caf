//! A scan's header and entropy-coded bytes in, coefficients out (T.81, annexes F and G).

use super::bits::Bits;
use super::error::{corrupt, unsupported};
use super::header::{Component, Frame, Tables};
use super::huffman::Huffman;
use super::render::Renderer;
use super::zigzag::ZIGZAG;
use crate::DecodeError;

/// A component's part in a scan.
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

/// What one scan brings.
pub(super) struct Scan {
    parts: Vec<Part>,
    /// First and last coefficient in the order of the stream.
    first: usize,
    last: usize,
    /// Whether bits are added to what earlier scans brought.
    refines: bool,
    /// How far its bits are shifted up.
    low: u32,
    /// Whether it brings the whole image, so that a row of units needs no place once it is rendered.
    streams: bool,
}

impl Scan {
    /// Reads the header, and readies the components that it names.
    pub(super) fn read(
        payload: &[u8],
        frame: &mut Frame,
        tables: &Tables,
    ) -> Result<Self, DecodeError> {
        let broken = || corrupt("a scan header is broken");
        let (&count, rest) = payload.split_first().ok_or_else(broken)?;
        let (heads, rest) = rest
            .split_at_checked(usize::from(count) * 2)
            .ok_or_else(broken)?;
        let [first, last, high_low, ..] = *rest else {
            return Err(broken());
        };
        let mut parts = Vec::new();
        for head in heads.chunks_exact(2) {
            let named = |component: &Component| component.id == head[0];
            let component = frame.components.iter().position(named).ok_or_else(broken)?;
            if parts.iter().any(|part: &Part| part.component == component) {
                return Err(broken());
            }
            let (dc, ac) = (usize::from(head[1] >> 4), usize::from(head[1] & 15));
            parts.push(Part {
                component,
                dc: dc.min(3),
                ac: ac.min(3),
            });
        }
        let mut scan = match frame.progressive {
            false => Self {
                parts,
                first: 0,
                last: 63,
                refines: false,
                low: 0,
                streams: false,
            },
            true => Self {
                parts,
                first: first.into(),
                last: last.into(),
                refines: high_low >> 4 != 0,
                low: u32::from(high_low & 15),
                streams: false,
            },
        };
        scan.check(frame)?;
        scan.streams = scan.is_whole(frame);
        let rows_of_units = if scan.streams { 1 } else { frame.units.1 };
        for part in &scan.parts {
            ready(&mut frame.components[part.component], tables, rows_of_units)?;
        }
        Ok(scan)
    }

    /// Whether it brings all of an image of which nothing has come yet. A lone colour with other
    /// factors than 1 is left out: its units are blocks.
    fn is_whole(&self, frame: &Frame) -> bool {
        let mut components = frame.components.iter();
        !frame.progressive
            && self.parts.len() == frame.components.len()
            && components.all(|component| component.quantisation.is_none())
            && (self.parts.len() > 1 || (frame.h_max, frame.v_max) == (1, 1))
    }

    /// Whether the scan is to be decoded into a renderer.
    pub(super) fn streams(&self) -> bool {
        self.streams
    }

    fn check(&self, frame: &Frame) -> Result<(), DecodeError> {
        let dc_only = self.first == 0 && self.last == 0;
        let ac_only =
            self.first > 0 && self.first <= self.last && self.last < 64 && self.parts.len() == 1;
        let blocks: usize = self
            .parts
            .iter()
            .map(|part| frame.components[part.component].h * frame.components[part.component].v)
            .sum();
        match () {
            () if self.parts.is_empty() => Err(corrupt("a scan has no colours")),
            () if self.parts.len() > 1 && blocks > 10 => {
                Err(unsupported("more than 10 blocks a unit"))
            }
            () if frame.progressive && (self.low > 13 || !(dc_only || ac_only)) => {
                Err(corrupt("a scan header is broken"))
            }
            () => Ok(()),
        }
    }

    /// Decodes the scan; tells where in `data` it ends. One that [streams](Self::streams) fills
    /// `renderer`.
    pub(super) fn decode(
        self,
        data: &[u8],
        frame: &mut Frame,
        tables: &Tables,
        mut renderer: Option<&mut Renderer>,
    ) -> Result<usize, DecodeError> {
        let mut state = State {
            bits: Bits::new(data),
            predictions: [0; 4],
            run: 0,
        };
        let (across, down) = match self.parts.as_slice() {
            [part] => {
                let component = &frame.components[part.component];
                (component.width.div_ceil(8), component.height.div_ceil(8))
            }
            _ => frame.units,
        };
        let mut until_restart = tables.restart_interval;
        for y in 0..down {
            let held = if self.streams { 0 } else { y };
            for x in 0..across {
                if tables.restart_interval > 0 {
                    if until_restart == 0 {
                        state.restart()?;
                        until_restart = tables.restart_interval;
                    }
                    until_restart -= 1;
                }
                self.unit(x, held, &mut state, frame, tables)?;
                if state.bits.overrun() {
                    return Err(corrupt("a scan ends early"));
                }
            }
            if let Some(renderer) = renderer.as_deref_mut() {
                renderer.add(frame, held);
                for component in &mut frame.components {
                    component.coefficients.fill(0);
                }
            }
        }
        for part in &self.parts {
            let component = &mut frame.components[part.component];
            component.bits_to_come[self.first..=self.last].fill(self.low as u8);
        }
        Ok(state.bits.end())
    }

    /// One minimum coded unit: a block of a lone component, else the blocks of all components.
    fn unit(
        &self,
        x: usize,
        y: usize,
        state: &mut State<'_>,
        frame: &mut Frame,
        tables: &Tables,
    ) -> Result<(), DecodeError> {
        for part in &self.parts {
            let component = &mut frame.components[part.component];
            let (h, v) = if self.parts.len() == 1 {
                (1, 1)
            } else {
                (component.h, component.v)
            };
            for row in y * v..(y + 1) * v {
                for column in x * h..(x + 1) * h {
                    let at = row * component.blocks_wide + column;
                    let block = component.coefficients[at * 64..].first_chunk_mut();
                    let block = block.ok_or_else(|| corrupt("a scan is larger than the image"))?;
                    self.block(part, block, state, frame.progressive, tables)?;
                }
            }
        }
        Ok(())
    }

    fn block(
        &self,
        part: &Part,
        block: &mut [i16; 64],
        state: &mut State<'_>,
        progressive: bool,
        tables: &Tables,
    ) -> Result<(), DecodeError> {
        if self.first == 0 && self.refines {
            if state.bits.bit() {
                block[0] |= 1 << self.low;
            }
            return Ok(());
        }
        if self.first == 0 {
            let prediction = &mut state.predictions[part.component];
            block[0] = dc(
                table(&tables.dc, part.dc)?,
                &mut state.bits,
                prediction,
                self.low,
            )?;
        }
        if self.last == 0 {
            return Ok(());
        }
        let ac = table(&tables.ac, part.ac)?;
        match (progressive, self.refines) {
            (false, _) => sequential(ac, &mut state.bits, block),
            (true, false) => self.progressive_first(ac, state, block),
            (true, true) => self.progressive_refine(ac, state, block),
        }
    }

    fn progressive_first(
        &self,
        ac: &Huffman,
        state: &mut State<'_>,
        block: &mut [i16; 64],
    ) -> Result<(), DecodeError> {
        if state.run > 0 {
            state.run -= 1;
            return Ok(());
        }
        let mut at = self.first;
        while at <= self.last {
            state.bits.refill();
            let symbol = ac.symbol(&mut state.bits)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => {
                    state.run = (1 << zeros) + state.bits.read(zeros as u32) - 1;
                    break;
                }
                _ => {
                    at += zeros;
                    let value = state.bits.signed(size) << self.low;
                    *block
                        .get_mut(*ZIGZAG.get(at).ok_or_else(too_many)?)
                        .ok_or_else(too_many)? = value as i16;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    fn progressive_refine(
        &self,
        ac: &Huffman,
        state: &mut State<'_>,
        block: &mut [i16; 64],
    ) -> Result<(), DecodeError> {
        let mut at = self.first;
        if state.run == 0 {
            while at <= self.last {
                state.bits.refill();
                let symbol = ac.symbol(&mut state.bits)?;
                let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
                let mut fresh = 0;
                match (zeros, size) {
                    (15, 0) => {}
                    (_, 0) => {
                        state.run = (1 << zeros) + state.bits.read(zeros as u32);
                        break;
                    }
                    _ => {
                        fresh = if state.bits.read(1) != 0 {
                            1 << self.low
                        } else {
                            -1 << self.low
                        }
                    }
                }
                at = self.refine_up_to(zeros, at, &mut state.bits, block);
                if fresh != 0 {
                    *block
                        .get_mut(*ZIGZAG.get(at).ok_or_else(too_many)?)
                        .ok_or_else(too_many)? = fresh;
                }
                at += 1;
            }
        }
        if state.run > 0 {
            self.refine_up_to(usize::MAX, at, &mut state.bits, block);
            state.run -= 1;
        }
        Ok(())
    }

    /// Refines what is there, from `at` on, and stops at the zero after `zeros` others.
    fn refine_up_to(
        &self,
        mut zeros: usize,
        mut at: usize,
        bits: &mut Bits<'_>,
        block: &mut [i16; 64],
    ) -> usize {
        let step = 1 << self.low;
        while at <= self.last {
            let value = &mut block[ZIGZAG[at]];
            if *value != 0 {
                if bits.bit() && *value & step == 0 {
                    *value = value.wrapping_add(if *value > 0 { step } else { -step });
                }
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            at += 1;
        }
        at
    }
}

/// What goes on from block to block.
struct State<'a> {
    bits: Bits<'a>,
    /// By component: the DC value before.
    predictions: [i32; 4],
    /// Blocks still to come that bring no new coefficient.
    run: i32,
}

impl State<'_> {
    fn restart(&mut self) -> Result<(), DecodeError> {
        (self.predictions, self.run) = ([0; 4], 0);
        match self.bits.restart() {
            true => Ok(()),
            false => Err(corrupt("a restart marker is missing")),
        }
    }
}

/// Before a component's first scan: room for the coefficients of so many rows of units, and the table as it now stands.
fn ready(
    component: &mut Component,
    tables: &Tables,
    rows_of_units: usize,
) -> Result<(), DecodeError> {
    if component.quantisation.is_none() {
        let table = tables.quantisation[component.table];
        component.quantisation =
            Some(table.ok_or_else(|| corrupt("a quantisation table is missing"))?);
        component.coefficients = vec![0; component.unit_row() * rows_of_units];
    }
    Ok(())
}

fn table(tables: &[Option<Huffman>; 4], number: usize) -> Result<&Huffman, DecodeError> {
    tables[number]
        .as_ref()
        .ok_or_else(|| corrupt("a Huffman table is missing"))
}

fn dc(
    table: &Huffman,
    bits: &mut Bits<'_>,
    prediction: &mut i32,
    low: u32,
) -> Result<i16, DecodeError> {
    bits.refill();
    let size = u32::from(table.symbol(bits)?);
    if size > 15 {
        return Err(corrupt("a coefficient has more than 15 bits"));
    }
    *prediction = prediction.wrapping_add(bits.signed(size));
    Ok((*prediction << low) as i16)
}

fn sequential(
    ac: &Huffman,
    state: &mut Bits<'_>,
    block: &mut [i16; 64],
) -> Result<(), DecodeError> {
    let mut copy = *state;
    let bits = &mut copy;
    let mut at = 1;
    while at < 64 {
        bits.refill();
        let short = ac.short(bits);
        if short.length > 0 {
            bits.take(short.length.into());
            at += usize::from(short.zeros);
            if short.value != 0 {
                block[*ZIGZAG.get(at).ok_or_else(too_many)?] = short.value;
                at += 1;
            }
            continue;
        }
        let symbol = ac.symbol(bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => {
                at += zeros;
                block[*ZIGZAG.get(at).ok_or_else(too_many)?] = bits.signed(size) as i16;
                at += 1;
            }
        }
    }
    *state = copy;
    Ok(())
}

fn too_many() -> DecodeError {
    corrupt("a block has more than 64 coefficients")
}
