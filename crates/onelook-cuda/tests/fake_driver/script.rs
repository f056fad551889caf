//! How the fake driver behaves: lines of a file beside the library.
//!
//! `version 12040`, `device NAME|9.0|BYTES`, `fail FUNCTION NTH CODE` (`*` for every time),
//! `hold FUNCTION NTH OTHER COUNT` (the call waits until the other function has been called so often),
//! `jit_log WORDS`.

/// A GPU that the fake driver reports.
pub struct Device {
    pub name: String,
    pub capability: [i32; 2],
    pub memory: usize,
}

/// The settings of the fake driver.
#[derive(Default)]
pub struct Script {
    pub version: i32,
    pub devices: Vec<Device>,
    pub jit_log: String,
    failures: Vec<(String, Option<usize>, i32)>,
    holds: Vec<Hold>,
}

/// A call that waits for calls of another function.
#[derive(Clone)]
pub struct Hold {
    function: String,
    nth: usize,
    pub other: String,
    pub count: usize,
}

impl Script {
    pub fn parse(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            script
                .take(word, rest)
                .unwrap_or_else(|| panic!("the script has '{line}'"));
        }
        script
    }

    fn take(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "version" => self.version = rest.parse().ok()?,
            "jit_log" => self.jit_log = rest.to_owned(),
            "device" => {
                let mut parts = rest.split('|');
                let name = parts.next()?.to_owned();
                let (major, minor) = parts.next()?.split_once('.')?;
                self.devices.push(Device {
                    name,
                    capability: [major.parse().ok()?, minor.parse().ok()?],
                    memory: parts.next()?.parse().ok()?,
                });
            }
            "fail" => {
                let mut parts = rest.split(' ');
                let function = parts.next()?.to_owned();
                let nth = match parts.next()? {
                    "*" => None,
                    nth => Some(nth.parse().ok()?),
                };
                self.failures
                    .push((function, nth, parts.next()?.parse().ok()?));
            }
            "hold" => {
                let mut parts = rest.split(' ');
                self.holds.push(Hold {
                    function: parts.next()?.to_owned(),
                    nth: parts.next()?.parse().ok()?,
                    other: parts.next()?.to_owned(),
                    count: parts.next()?.parse().ok()?,
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// What the call of this name waits for at its `nth` time, from 1.
    pub fn hold(&self, function: &str, nth: usize) -> Option<Hold> {
        let mut holds = self.holds.iter();
        let found = holds.find(|hold| hold.function == function && hold.nth == nth);
        found.cloned()
    }

    /// The error that the call of this name shall answer at its `nth` time, from 1.
    pub fn failure(&self, function: &str, nth: usize) -> Option<i32> {
        let fits = |when: &Option<usize>| when.is_none_or(|when| when == nth);
        let mut failures = self.failures.iter();
        let found = failures.find(|(name, when, _)| name == function && fits(when));
        found.map(|(_, _, code)| *code)
    }
}
