//! Load and memory of the machine and of this process: read from `/proc` on demand.
//!
//! Everything is zero on systems without `/proc`.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::locks::lock;

use onelook::usable_cores;

/// Clock ticks of `/proc` per second: a constant of the kernel's user-space interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// Loads are averaged over at least this time.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// Load and memory of machine and process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostUsage {
    /// Load of all of the machine's cores, 0 to 100.
    pub cpu_percent: f64,
    /// Load of this process: 100 for each core that it keeps busy.
    pub process_cpu_percent: f64,
    /// Memory in use on the machine.
    pub memory_used_bytes: u64,
    /// Memory of the machine.
    pub memory_total_bytes: u64,
    /// Memory of this process.
    pub process_memory_bytes: u64,
}

/// Measures the machine; loads are averages since the previous measurement.
pub struct HostMonitor(Mutex<Sample>);

struct Sample {
    at: Instant,
    counters: Counters,
    usage: HostUsage,
}

/// Ticks since the machine or the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counters {
    busy: u64,
    idle: u64,
    process: u64,
}

impl HostMonitor {
    /// Starts measuring.
    pub fn new() -> Self {
        Self(Mutex::new(Sample {
            at: Instant::now(),
            counters: Counters::read(),
            usage: HostUsage::default(),
        }))
    }

    /// Cores that this process may use.
    pub fn cores(&self) -> usize {
        usable_cores()
    }

    /// Load and memory now.
    pub fn usage(&self) -> HostUsage {
        let mut sample = lock(&self.0);
        let elapsed = sample.at.elapsed();
        if elapsed >= MIN_INTERVAL {
            let now = Counters::read();
            sample.usage = cpu_usage(sample.counters, now, elapsed);
            sample.counters = now;
            sample.at = Instant::now();
        }
        memory(&mut sample.usage);
        sample.usage
    }
}

impl Default for HostMonitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    fn read() -> Self {
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let process = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self::parse(&machine, &process).unwrap_or_default()
    }

    /// From proc(5): `cpu user nice system idle iowait irq softirq steal …`, and fields 14 and 15 of
    /// a process, counted from behind its name, which may contain spaces and brackets.
    fn parse(machine: &str, process: &str) -> Option<Self> {
        let line = machine.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map_while(|word| word.parse().ok())
            .collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let (_, fields) = process.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11);
        let (user, system): (u64, u64) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self {
            busy: ticks.iter().sum::<u64>() - idle,
            idle,
            process: user + system,
        })
    }
}

fn cpu_usage(before: Counters, now: Counters, elapsed: Duration) -> HostUsage {
    let busy = now.busy.saturating_sub(before.busy) as f64;
    let all = busy + now.idle.saturating_sub(before.idle) as f64;
    let own = now.process.saturating_sub(before.process) as f64 / TICKS_PER_SECOND;
    HostUsage {
        cpu_percent: if all > 0.0 {
            tenth(100.0 * busy / all)
        } else {
            0.0
        },
        process_cpu_percent: tenth(100.0 * own / elapsed.as_secs_f64()),
        ..HostUsage::default()
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn memory(usage: &mut HostUsage) {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |text: &str, name: &str| field(text, name).unwrap_or(0) << 10;
    let total = bytes(&machine, "MemTotal");
    usage.memory_total_bytes = total;
    usage.memory_used_bytes = total.saturating_sub(bytes(&machine, "MemAvailable"));
    usage.process_memory_bytes = bytes(&process, "VmRSS");
}

/// The number of the line `name: number kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        let number = value.split_whitespace().next()?;
        (key == name).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let machine = "cpu  10 1 4 100 5 0 2 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let process = "7 (a ) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 30 12 0 0 20 0 1 0 1 2 3";
        let counters = Counters::parse(machine, process).unwrap();
        let expected = Counters {
            busy: 20,
            idle: 105,
            process: 42,
        };
        assert_eq!(counters, expected);
        assert_eq!(Counters::parse("", process), None);
    }

    #[test]
    fn loads_are_averages_over_the_time_between() {
        let now = Counters {
            busy: 30,
            idle: 90,
            process: 150,
        };
        let usage = cpu_usage(Counters::default(), now, Duration::from_secs(1));
        assert_eq!(usage.cpu_percent, 25.0);
        assert_eq!(usage.process_cpu_percent, 150.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_machine_and_process_is_measured() {
        let usage = HostMonitor::new().usage();
        assert!(usage.process_memory_bytes > 0);
        assert!(usage.memory_total_bytes > usage.process_memory_bytes);
    }
}
