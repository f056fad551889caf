//! Log files: a new one each day (UTC) and, if asked for, when one has reached its size. The oldest go.
//!
//! Files are opened for appending and can be opened again, so that logrotate works in both of its
//! ways: `copytruncate` empties a file, which then grows from its start; `create` renames it and sends
//! SIGHUP.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const PREFIX: &str = "onelook.";
const SUFFIX: &str = ".log";

/// How files are divided.
#[derive(Debug, Clone)]
pub struct LogFilePolicy {
    /// Where they are.
    pub directory: PathBuf,
    /// Most files that are kept.
    pub keep: usize,
    /// Size in bytes from which on a new one is begun.
    pub max_bytes: Option<u64>,
}

/// Tells the writer to open its file anew.
#[derive(Debug, Clone, Default)]
pub struct ReopenFlag(Arc<AtomicBool>);

impl ReopenFlag {
    /// Before the next line, which says so.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
        tracing::info!("log files are opened anew");
    }
}

/// Writes to the newest file.
pub struct LogFiles {
    policy: LogFilePolicy,
    reopen: ReopenFlag,
    today: fn() -> u64,
    open: Option<OpenFile>,
}

/// `onelook.2026-11-27.log` is number 0 of its day, `onelook.2026-11-27.1.log` the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FileId {
    date: [u64; 3],
    number: u64,
}

struct OpenFile {
    id: FileId,
    day: u64,
    file: File,
}

impl LogFiles {
    /// Opens the newest file.
    ///
    /// # Errors
    /// The directory or the file cannot be written to.
    pub fn open(policy: LogFilePolicy, reopen: ReopenFlag) -> io::Result<Self> {
        std::fs::create_dir_all(&policy.directory)?;
        let mut files = Self {
            policy,
            reopen,
            today,
            open: None,
        };
        files.current()?;
        Ok(files)
    }

    /// The file for the next line.
    fn current(&mut self) -> io::Result<&mut File> {
        let day = (self.today)();
        let is_asked = self.reopen.0.swap(false, Ordering::SeqCst);
        let next = match self.open.take() {
            Some(open) if open.day == day => match self.is_full(&open.file) {
                true => open.id.number + 1,
                false if is_asked => open.id.number,
                false => return Ok(&mut self.open.insert(open).file),
            },
            // The first of a day, or a file that could not be opened: goes on where others ended.
            _ => {
                let date = date(day);
                let known = files_of(&self.policy.directory);
                let today = known.iter().filter(|id| id.date == date);
                today.map(|id| id.number).max().unwrap_or(0)
            }
        };
        let mut id = FileId {
            date: date(day),
            number: next,
        };
        let mut file = self.append(id)?;
        while self.is_full(&file) {
            id.number += 1;
            file = self.append(id)?;
        }
        self.remove_oldest();
        let open = OpenFile { id, day, file };
        Ok(&mut self.open.insert(open).file)
    }

    fn append(&self, id: FileId) -> io::Result<File> {
        let path = self.policy.directory.join(id.name());
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Asks the file, not a counter: `copytruncate` makes files small again.
    fn is_full(&self, file: &File) -> bool {
        let size = || file.metadata().map_or(0, |metadata| metadata.len());
        self.policy.max_bytes.is_some_and(|max| size() >= max)
    }

    fn remove_oldest(&self) {
        let mut known = files_of(&self.policy.directory);
        known.sort();
        let surplus = known.len().saturating_sub(self.policy.keep.max(1));
        for id in &known[..surplus] {
            // Another process may have removed it; the next turn tries again.
            let _ = std::fs::remove_file(self.policy.directory.join(id.name()));
        }
    }
}

impl Write for LogFiles {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.current()?.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileId {
    fn name(&self) -> String {
        let [year, month, day] = self.date;
        let number = match self.number {
            0 => String::new(),
            number => format!(".{number}"),
        };
        format!("{PREFIX}{year:04}-{month:02}-{day:02}{number}{SUFFIX}")
    }

    fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (date, number) = match name.split_once('.') {
            Some((date, number)) => (date, number.parse().ok()?),
            None => (name, 0),
        };
        let mut parts = date.split('-').map(str::parse);
        let mut part = || parts.next()?.ok();
        let date = [part()?, part()?, part()?];
        let id = Self { date, number };
        // What is written otherwise is not ours to remove.
        (id.name() == format!("{PREFIX}{name}{SUFFIX}")).then_some(id)
    }
}

fn files_of(directory: &Path) -> Vec<FileId> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| FileId::parse(&name)).collect()
}

/// Days since 1970.
fn today() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |time| time.as_secs() / 86_400)
}

/// Year, month and day of a day since 1970; the first for days beyond all calendars.
fn date(day: u64) -> [u64; 3] {
    let days = time::Duration::days(i64::try_from(day).unwrap_or(0));
    let date = time::Date::from_ordinal_date(1970, 1).expect("the first of January exists");
    let date = date.checked_add(days).unwrap_or(date);
    let (month, day) = (u8::from(date.month()), date.day());
    [
        u64::from(date.year().unsigned_abs()),
        month.into(),
        day.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("onelook-log-files-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }

        fn files(&self, keep: usize, max_bytes: Option<u64>) -> (LogFiles, ReopenFlag) {
            let reopen = ReopenFlag::default();
            let policy = LogFilePolicy {
                directory: self.0.clone(),
                keep,
                max_bytes,
            };
            (LogFiles::open(policy, reopen.clone()).unwrap(), reopen)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = std::fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn days_have_their_dates() {
        for (day, expected) in [
            (0, [1970, 1, 1]),
            (11_016, [2000, 2, 29]),
            (11_017, [2000, 3, 1]),
            (20_784, [2026, 11, 27]),
            (47_540, [2100, 2, 28]),
            (47_541, [2100, 3, 1]),
        ] {
            assert_eq!(date(day), expected, "{day}");
        }
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_the_oldest_go() {
        let scratch = Scratch::new("size");
        std::fs::create_dir_all(&scratch.0).unwrap();
        let kept = [
            "notes.txt",
            "onelook.2020-1-1.log",
            "onelook.2020-01-01.log.1",
        ];
        for name in kept.iter().chain(&["onelook.2020-01-01.log"]) {
            std::fs::write(scratch.0.join(name), "").unwrap();
        }
        let (mut files, _) = scratch.files(2, Some(10));
        for line in ["one 6\n", "two 6\n", "three\n", "four 7\n", "five 7\n"] {
            files.write_all(line.as_bytes()).unwrap();
        }
        let names = scratch.names();
        let own: Vec<&String> = names
            .iter()
            .filter(|name| name.contains("20") && !name.contains("2020"))
            .collect();
        assert_eq!(own.len(), 2, "{names:?}");
        assert_eq!(scratch.read(own[1]), "five 7\n");
        assert!(own[0].ends_with(".1.log"), "{names:?}");
        assert!(
            kept.iter()
                .all(|name| names.iter().any(|known| known == name))
        );
        assert!(!names.contains(&"onelook.2020-01-01.log".to_owned()));
    }

    #[test]
    fn a_new_day_and_a_new_start_go_on_as_they_should() {
        let scratch = Scratch::new("day");
        let (mut files, _) = scratch.files(9, None);
        files.today = || 0;
        files.write_all(b"a\n").unwrap();
        files.today = || 1;
        files.write_all(b"b\n").unwrap();
        assert_eq!(scratch.read("onelook.1970-01-01.log"), "a\n");
        assert_eq!(scratch.read("onelook.1970-01-02.log"), "b\n");
        let (mut again, _) = scratch.files(9, None);
        again.today = || 1;
        again.write_all(b"c\n").unwrap();
        assert_eq!(scratch.read("onelook.1970-01-02.log"), "b\nc\n");
    }

    #[test]
    fn a_file_that_was_emptied_grows_from_its_start() {
        let scratch = Scratch::new("copytruncate");
        let (mut files, _) = scratch.files(9, None);
        files.today = || 0;
        files.write_all(b"before\n").unwrap();
        let path = scratch.0.join("onelook.1970-01-01.log");
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        files.write_all(b"after\n").unwrap();
        assert_eq!(scratch.read("onelook.1970-01-01.log"), "after\n");
    }

    #[test]
    fn a_file_that_was_renamed_is_left_when_told_to() {
        let scratch = Scratch::new("create");
        let (mut files, reopen) = scratch.files(9, None);
        files.today = || 0;
        files.write_all(b"before\n").unwrap();
        let path = scratch.0.join("onelook.1970-01-01.log");
        std::fs::rename(&path, scratch.0.join("onelook.1970-01-01.log.1")).unwrap();
        files.write_all(b"still\n").unwrap();
        reopen.set();
        files.write_all(b"after\n").unwrap();
        assert_eq!(scratch.read("onelook.1970-01-01.log.1"), "before\nstill\n");
        assert_eq!(scratch.read("onelook.1970-01-01.log"), "after\n");
    }
}
