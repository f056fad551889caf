//! Which devices this machine has, by name; nothing is changed on them.

use std::fs;

/// A device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDevice {
    /// Its name as the system tells it.
    pub name: String,
    /// Whether this build can use it.
    pub usable: bool,
    /// What it offers, or why it cannot be used.
    pub remark: String,
}

/// Bytes of memory that programs may still take, where the system tells.
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = field(&text, "MemAvailable")?;
    let number = kilobytes.split_whitespace().next()?.parse::<u64>().ok()?;
    number.checked_mul(1024)
}

/// Cores that this process may use.
pub fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn cpu() -> FoundDevice {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = field(&text, "model name").or_else(|| field(&text, "Model"));
    let cores = usable_cores();
    let plural = if cores == 1 { "" } else { "s" };
    FoundDevice {
        name: name.unwrap_or(std::env::consts::ARCH).to_owned(),
        usable: true,
        remark: format!("{cores} core{plural} usable"),
    }
}

/// Names of NVIDIA GPUs that the kernel's driver knows.
pub(super) fn gpus_of_the_system() -> Vec<String> {
    let Ok(listing) = fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let mut names: Vec<String> = listing
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("information")).ok())
        .map(|text| field(&text, "Model").unwrap_or("NVIDIA GPU").to_owned())
        .collect();
    names.sort();
    names
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn every_machine_has_a_usable_cpu() {
        assert!(cpu().usable);
        assert!(usable_cores() > 0);
    }
}
