//! Tables of what kernels cost, and the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use onelook_ptx::lang::Target;

use crate::Failure;
use crate::assemble::Assembled;

/// A line per kernel.
pub(crate) fn rows(assembled: &[Assembled]) -> String {
    let mut text = String::from(
        "target   registers  estimate  local  shared  threads  blocks  occupancy  kernel, tiles\n",
    );
    for it in assembled {
        let kernel = &it.entry.kernel;
        text += &format!(
            "{:<8} {:>9} {:>9} {:>6} {:>7} {:>8} {:>7} {:>9.0}%  {}, {}\n",
            kernel.target.name(),
            it.registers,
            it.estimated_registers,
            it.local_bytes,
            kernel.shared_bytes,
            kernel.threads,
            it.blocks,
            it.occupancy * 100.0,
            kernel.name,
            it.entry.choice,
        );
    }
    text
}

/// Kernels of one family with the same tiles.
#[derive(Default)]
struct Group<'a> {
    members: Vec<&'a Assembled>,
}

impl Group<'_> {
    fn range(&self, of: impl Fn(&Assembled) -> u32) -> Option<RangeInclusive<u32>> {
        let values = || self.members.iter().map(|it| of(it));
        Some(values().min()?..=values().max()?)
    }

    fn cell(&self, target: Target) -> String {
        let of_target = |it: &&&Assembled| it.entry.kernel.target == target;
        let members = self.members.iter().filter(of_target).copied().collect();
        let group = Group { members };
        match (group.range(|it| it.registers), group.range(|it| it.blocks)) {
            (Some(registers), Some(blocks)) => format!("{} · {}", show(&registers), show(&blocks)),
            _ => String::new(),
        }
    }
}

fn show(range: &RangeInclusive<u32>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}–{}", range.start(), range.end()),
    }
}

/// A line per family and tiles, a column per target: registers · blocks per multiprocessor.
pub(crate) fn table(assembled: &[Assembled]) -> String {
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for it in assembled {
        let key = (it.entry.family(), it.entry.choice.as_str());
        groups.entry(key).or_default().members.push(it);
    }
    let targets: BTreeSet<Target> = assembled.iter().map(|it| it.entry.kernel.target).collect();
    let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    let mut text = format!(
        "| kernel | tiles | kernels | threads | shared KiB | {} |\n|---|---|---|---|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for ((family, choice), group) in &groups {
        let threads = group.range(|it| it.entry.kernel.threads);
        let shared = group.range(|it| it.entry.kernel.shared_bytes.div_ceil(1024));
        let cells: Vec<String> = targets.iter().map(|&target| group.cell(target)).collect();
        text += &format!(
            "| {family} | {choice} | {} | {} | {} | {} |\n",
            group.members.len(),
            threads.as_ref().map(show).unwrap_or_default(),
            shared.as_ref().map(show).unwrap_or_default(),
            cells.join(" | ")
        );
    }
    text
}

/// Figures over all kernels.
pub(crate) fn summary(assembled: &[Assembled]) -> String {
    let launches: usize = assembled.iter().map(|it| it.entry.launches).sum();
    let local = assembled.iter().filter(|it| it.local_bytes > 0).count();
    let mut ratios: Vec<f64> = assembled
        .iter()
        .map(|it| f64::from(it.estimated_registers) / f64::from(it.registers))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| {
        ratios
            .get(ratios.len() * part / 100)
            .copied()
            .unwrap_or(1.0)
    };
    format!(
        "{} kernels of {launches} launches; {local} spill or need a stack; registers estimated / \
         used: {:.2} at the 5th, {:.2} at the 50th, {:.2} at the 95th percentile\n",
        assembled.len(),
        at(5),
        at(50),
        at(95)
    )
}

/// The table for the repository's documentation.
pub(crate) fn page(table: &str, assembled: &[Assembled]) -> String {
    format!(
        "# CUDA kernels\n\n\
         Written by `cargo xtask ptx --write`; do not edit. Every kernel of every scale of yolov8, \
         yolo11 and\nyolo26 at 640 pixels, batch 1 and 32, in halves, assembled by ptxas 12.9. A cell \
         says registers per\nthread · blocks that fit one multiprocessor; a range where kernels of \
         one family and tiles differ by\nchannels.\n\n{}\n{table}",
        summary(assembled)
    )
}

/// An error that names each kernel which costs more than it may.
pub(crate) fn verdict(assembled: &[Assembled]) -> Result<(), Failure> {
    let complaints: Vec<String> = assembled.iter().filter_map(complaint).collect();
    match complaints.as_slice() {
        [] => Ok(()),
        complaints => Err(complaints.join("\n").into()),
    }
}

fn complaint(it: &Assembled) -> Option<String> {
    let (stem, promised) = (&it.entry.stem, it.entry.kernel.blocks_per_multiprocessor);
    if it.local_bytes > 0 {
        let bytes = it.local_bytes;
        return Some(format!("{stem}: {bytes} bytes of local memory per thread"));
    }
    if it.blocks < promised {
        let blocks = it.blocks;
        return Some(format!(
            "{stem}: {blocks} blocks fit, {promised} were promised"
        ));
    }
    None
}
