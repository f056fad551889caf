//! ptxas over all kernels, on all cores, and what it says of each.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use onelook_ptx::lang::live_registers;
use onelook_ptx::occupancy::{blocks_per_multiprocessor, occupancy};

use crate::Failure;
use crate::kernels::Entry;

/// A kernel and what it costs.
pub(crate) struct Assembled {
    pub(crate) entry: Entry,
    pub(crate) registers: u32,
    pub(crate) estimated_registers: u32,
    /// Bytes of local memory that a thread needs: spills and stack.
    pub(crate) local_bytes: u32,
    pub(crate) blocks: u32,
    pub(crate) occupancy: f64,
}

/// Assembles all kernels; the first that ptxas refuses is the error.
pub(crate) fn all(
    ptxas: &Path,
    folder: &Path,
    entries: Vec<Entry>,
) -> Result<Vec<Assembled>, Failure> {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let said: Vec<(usize, Result<String, String>)> = thread::scope(|scope| {
        let work = || {
            let mut said = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(entry) = entries.get(number) else {
                    return said;
                };
                if number.is_multiple_of(100) {
                    eprintln!("assembling {number} of {}", entries.len());
                }
                said.push((number, one(ptxas, folder, entry)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|said| said.expect("ptxas is run without panics"))
            .collect()
    });
    let mut lines = vec![String::new(); entries.len()];
    for (number, said) in said {
        lines[number] = said?;
    }
    let pairs = entries.into_iter().zip(lines);
    pairs
        .map(|(entry, said)| Ok(weigh(entry, &said)?))
        .collect()
}

fn one(ptxas: &Path, folder: &Path, entry: &Entry) -> Result<String, String> {
    let file = folder.join(&entry.stem).with_extension("ptx");
    let output = Command::new(ptxas)
        .args(["-v", "--gpu-name", entry.kernel.target.name(), "-o"])
        .args([file.with_extension("cubin"), file.clone()])
        .output()
        .map_err(|error| format!("{} does not start: {error}", ptxas.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    fs::write(file.with_extension("log"), &said).map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("ptxas refuses {}:\n{said}", file.display())),
    }
}

fn weigh(entry: Entry, said: &str) -> Result<Assembled, String> {
    let number = |after: &str| number_before(said, after);
    let (Some(registers), Some(stack)) = (number(" registers"), number(" bytes stack frame"))
    else {
        return Err(format!("ptxas said nothing of registers: {said}"));
    };
    let spills = [" bytes spill stores", " bytes spill loads"].map(number);
    let spilled = spills.into_iter().flatten().max().unwrap_or(0);
    let kernel = &entry.kernel;
    let (target, threads, shared) = (kernel.target, kernel.threads, kernel.shared_bytes);
    Ok(Assembled {
        registers,
        estimated_registers: live_registers(kernel),
        local_bytes: spilled.max(stack),
        blocks: blocks_per_multiprocessor(target, threads, registers, shared),
        occupancy: occupancy(target, threads, registers, shared),
        entry,
    })
}

/// The number in front of some words.
fn number_before(text: &str, words: &str) -> Option<u32> {
    let before = &text[..text.find(words)?];
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().ok()
}
