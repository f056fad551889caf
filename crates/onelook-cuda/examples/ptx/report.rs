//! What kernels cost, per kernel, per tile and in summary, and the verdict.

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

/// Kernels that are reported together.
#[derive(Default)]
struct Group<'a> {
    members: Vec<&'a Assembled>,
}

impl Group<'_> {
    fn range(&self, of: impl Fn(&Assembled) -> u32) -> Option<RangeInclusive<u32>> {
        let values = || self.members.iter().map(|it| of(it));
        Some(values().min()?..=values().max()?)
    }

    fn of(&self, target: Target) -> Self {
        let of_target = |it: &&&Assembled| it.entry.kernel.target == target;
        let members = self.members.iter().filter(of_target).copied().collect();
        Self { members }
    }

    fn most_registers(&self) -> u32 {
        self.range(|it| it.registers)
            .map_or(0, |range| *range.end())
    }

    fn cell(&self, target: Target) -> String {
        let group = self.of(target);
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
pub(crate) fn tiles(assembled: &[Assembled]) -> String {
    let key = |it: &Assembled| (it.entry.family().to_owned(), it.entry.choice.clone());
    let groups = grouped(assembled, key);
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

/// A table per target and one per family: what `docs/kernels.md` shows.
pub(crate) fn summary(assembled: &[Assembled]) -> String {
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
        "{}\nRegisters by our estimate / by ptxas: {:.2} at the 5th, {:.2} at the 50th, {:.2} at the \
         95th percentile.\n\n{}",
        targets(assembled),
        at(5),
        at(50),
        at(95),
        families(assembled)
    )
}

/// A line per target: how many kernels, how many registers, how full they leave a multiprocessor.
fn targets(assembled: &[Assembled]) -> String {
    let mut text = String::from(
        "| target | kernels | launches | most registers | spills | occupancy < 25 % | 25–50 % | \
         50–75 % | ≥ 75 % |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (target, group) in grouped(assembled, |it| it.entry.kernel.target) {
        let count =
            |what: &dyn Fn(&Assembled) -> bool| group.members.iter().filter(|it| what(it)).count();
        let quarter = |low: f64, high: f64| count(&|it| (low..high).contains(&it.occupancy));
        text += &format!(
            "| {target} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            group.members.len(),
            group
                .members
                .iter()
                .map(|it| it.entry.launches)
                .sum::<usize>(),
            group.most_registers(),
            count(&|it| it.local_bytes > 0),
            quarter(0.0, 0.25),
            quarter(0.25, 0.5),
            quarter(0.5, 0.75),
            quarter(0.75, f64::INFINITY),
        );
    }
    text
}

/// A line per family, a column per target: kernels, most registers, range of occupancy.
fn families(assembled: &[Assembled]) -> String {
    let targets: Vec<Target> = grouped(assembled, |it| it.entry.kernel.target)
        .into_keys()
        .collect();
    let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    let mut text = format!(
        "| family | {} |\n|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (family, group) in grouped(assembled, |it| it.entry.family().to_owned()) {
        let cells = targets.iter().map(|&target| {
            let group = group.of(target);
            let percent = group.range(|it| (it.occupancy * 100.0).round() as u32);
            percent.map_or_else(String::new, |percent| {
                let (kernels, registers) = (group.members.len(), group.most_registers());
                format!("{kernels} · {registers} · {} %", show(&percent))
            })
        });
        let cells: Vec<String> = cells.collect();
        text += &format!("| {family} | {} |\n", cells.join(" | "));
    }
    text
}

fn grouped<K: Ord>(
    assembled: &[Assembled],
    key: impl Fn(&Assembled) -> K,
) -> BTreeMap<K, Group<'_>> {
    let mut groups: BTreeMap<K, Group<'_>> = BTreeMap::new();
    for it in assembled {
        groups.entry(key(it)).or_default().members.push(it);
    }
    groups
}

/// The page for the repository's documentation.
pub(crate) fn page(summary: &str) -> String {
    format!(
        "# CUDA kernels\n\n\
         Written by `cargo xtask ptx --write`; do not edit. Every kernel of every scale of yolov8, \
         yolo11 and\nyolo26 at 640 pixels, batch 1 and 32, in f16, assembled by ptxas 12.9. Kernels \
         with the same text\ncount once, launches are those of all networks. Occupancy is the share of a \
         multiprocessor's threads\nthat resident blocks fill. In the second table a cell says: kernels · \
         most registers per thread ·\noccupancy.\n\n\
         `cargo xtask ptx` writes the full tables to `target/ptx`: `kernels.txt` has a line per kernel,\n\
         `tiles.md` one per family and tile. It fails if a kernel spills.\n\n{summary}"
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
