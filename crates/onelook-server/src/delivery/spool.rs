//! Events that wait on disk for their delivery: appended at one end, taken from the other, in order.
//!
//! A line per event in segment files (`1.jsonl`, `2.jsonl`, …); `position` says which line is next, and is
//! replaced after each delivery. What was appended outlives the process; after a crash the last delivery
//! may be repeated. When the bound on bytes is reached, the oldest segment goes, and its events count as
//! dropped.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::writable;

const ENDING: &str = "jsonl";
const POSITION: &str = "position";

/// Longest line that is read back; events are far smaller.
const MAX_LINE: usize = 1 << 20;

/// A queue of lines on disk. One process may use a directory at a time.
pub struct Spool {
    directory: PathBuf,
    /// Tells this spool from all others, for ever.
    name: String,
    max_bytes: u64,
    /// Segments by number and bytes, the oldest first; the last one is written to.
    segments: Vec<Segment>,
    writer: File,
    /// Of the next line in the oldest segment.
    offset: u64,
    dropped: u64,
    /// Locked as long as it is open.
    _lock: File,
}

struct Segment {
    number: u64,
    bytes: u64,
}

/// A line and where the one after it begins.
pub struct Waiting {
    /// Names the event for ever: the spool, the segment and the place in it.
    pub id: String,
    /// Without its end of line.
    pub line: Vec<u8>,
    segment: u64,
    end: u64,
}

impl Waiting {
    /// A line with this id, for tests.
    #[cfg(test)]
    pub fn test(id: &str, line: &str) -> Self {
        Self {
            id: id.to_owned(),
            line: line.as_bytes().to_vec(),
            segment: 0,
            end: 0,
        }
    }
}

impl Spool {
    /// Whether a directory could be opened, found without opening it or changing anything.
    ///
    /// # Errors
    /// What opening it would say, but for another process that uses it.
    pub fn check(directory: &Path) -> io::Result<()> {
        writable::check(directory)?;
        position(directory)?;
        known_name(directory).map(drop)
    }

    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// It cannot be read or written, or another process uses it.
    pub fn open(directory: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let lock = lock(directory)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if let Some(number) = number(&entry.path()) {
                let bytes = entry.metadata()?.len();
                segments.push(Segment { number, bytes });
            }
        }
        segments.sort_by_key(|segment| segment.number);
        let (done, mut offset) = position(directory)?.unwrap_or_default();
        segments.retain(|segment| {
            let is_done = segment.number < done;
            if is_done {
                // Left by a crash between two steps; one that stays is left out all the same.
                let _ = fs::remove_file(path(directory, segment.number));
            }
            !is_done
        });
        if segments.first().is_none_or(|first| first.number != done) {
            offset = 0;
        }
        // A line that a crash cut off stays the last of its segment.
        let newest = segments.last().map_or(done, |last| last.number) + 1;
        let writer = create(directory, newest)?;
        segments.push(Segment {
            number: newest,
            bytes: 0,
        });
        Ok(Self {
            name: name(directory)?,
            directory: directory.to_owned(),
            max_bytes,
            segments,
            writer,
            offset,
            dropped: 0,
            _lock: lock,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// It cannot be written, for example because the disk is full; nothing of it remains.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if line.len() >= MAX_LINE || line.contains(&b'\n') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.newest().bytes + bytes > self.segment_bytes() && self.newest().bytes > 0 {
            let number = self.newest().number + 1;
            self.writer = create(&self.directory, number)?;
            self.segments.push(Segment { number, bytes: 0 });
        }
        while self.bytes() + bytes > self.max_bytes && self.segments.len() > 1 {
            self.drop_oldest()?;
        }
        let whole = [line, b"\n"].concat();
        if let Err(error) = self.writer.write_all(&whole) {
            let length = self.newest().bytes;
            self.writer.set_len(length)?;
            self.writer.seek(SeekFrom::Start(length))?;
            return Err(error);
        }
        if let Some(newest) = self.segments.last_mut() {
            newest.bytes += bytes;
        }
        Ok(())
    }

    /// The oldest line that was not delivered.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Waiting>> {
        loop {
            let oldest = &self.segments[0];
            let (segment, is_last) = (oldest.number, self.segments.len() == 1);
            if let Some(line) = read_line(&path(&self.directory, segment), self.offset)? {
                let end = self.offset + line.len() as u64 + 1;
                return Ok(Some(Waiting {
                    id: format!("msg_{}-{segment}-{}", self.name, self.offset),
                    line,
                    segment,
                    end,
                }));
            }
            if is_last {
                return Ok(None);
            }
            self.finish_oldest()?;
        }
    }

    /// Goes on to the line after this one. One that was dropped meanwhile is passed over.
    ///
    /// # Errors
    /// That cannot be written; the line will come again after a restart.
    pub fn finish(&mut self, line: &Waiting) -> io::Result<()> {
        if self.segments[0].number != line.segment {
            return Ok(());
        }
        self.offset = line.end;
        self.save_position()
    }

    /// Events that were given up since the start, for want of space.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes of all segments.
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn newest(&self) -> &Segment {
        self.segments.last().expect("one is always written to")
    }

    /// An eighth of all: so much is given up at a time.
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 8).max(1)
    }

    fn drop_oldest(&mut self) -> io::Result<()> {
        while read_line(&path(&self.directory, self.segments[0].number), self.offset)?
            .map(|line| self.offset += line.len() as u64 + 1)
            .is_some()
        {
            self.dropped += 1;
        }
        self.finish_oldest()
    }

    /// Goes on to the next segment.
    fn finish_oldest(&mut self) -> io::Result<()> {
        // Its place on the disk may be what is missing to say so.
        match fs::remove_file(path(&self.directory, self.segments[0].number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.segments.remove(0);
        self.offset = 0;
        self.save_position()
    }

    fn save_position(&self) -> io::Result<()> {
        let written = self.directory.join("position.new");
        let text = format!("{} {}\n", self.segments[0].number, self.offset);
        let mut file = File::create(&written)?;
        file.write_all(text.as_bytes())?;
        // Else a loss of power may leave an empty file under the name.
        file.sync_data()?;
        fs::rename(written, self.directory.join(POSITION))
    }
}

/// Keeps other processes out.
fn lock(directory: &Path) -> io::Result<File> {
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another process uses it")),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.{ENDING}"))
}

fn create(directory: &Path, number: u64) -> io::Result<File> {
    let path = path(directory, number);
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// The number of a segment by its file's name.
fn number(path: &Path) -> Option<u64> {
    let is_segment = path.extension()? == ENDING;
    let number = path.file_stem()?.to_str()?.parse().ok();
    number.filter(|_| is_segment)
}

/// A random name, made with the directory.
fn name(directory: &Path) -> io::Result<String> {
    if let Some(name) = known_name(directory)? {
        return Ok(name);
    }
    // The standard library's hashers have random keys.
    let name = format!("{:016x}", RandomState::new().hash_one(()));
    fs::write(directory.join("name"), &name)?;
    Ok(name)
}

/// The name that was made, if one was.
fn known_name(directory: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(directory.join("name")) {
        Ok(name) if name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(Some(name))
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "'name' is not what was written there",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Segment and offset of the next line, if anything was delivered.
fn position(directory: &Path) -> io::Result<Option<(u64, u64)>> {
    let text = match fs::read_to_string(directory.join(POSITION)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let numbers = text.trim().split_once(' ');
    let numbers = numbers.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "'position' is no position");
    numbers.map(Some).ok_or_else(wrong)
}

/// The line at an offset; nothing at the end of the file and for a line that has no end.
fn read_line(path: &Path, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Somebody has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut line = Vec::new();
    io::Read::take(BufReader::new(file), MAX_LINE as u64).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("onelook-spool-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn open(&self, max_bytes: u64) -> Spool {
            Spool::open(&self.0, max_bytes).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn fill(spool: &mut Spool, events: std::ops::Range<u32>) {
        for event in events {
            spool.append(format!("{event:04}").as_bytes()).unwrap();
        }
    }

    /// Delivers everything that waits.
    fn drain(spool: &mut Spool) -> Vec<u32> {
        let mut events = Vec::new();
        while let Some(waiting) = spool.next().unwrap() {
            events.push(std::str::from_utf8(&waiting.line).unwrap().parse().unwrap());
            spool.finish(&waiting).unwrap();
        }
        events
    }

    #[test]
    fn lines_come_back_in_order_and_once_also_after_a_restart() {
        let scratch = Scratch::new("order");
        let mut spool = scratch.open(1000);
        fill(&mut spool, 0..70);
        for expected in 0..40 {
            let waiting = spool.next().unwrap().unwrap();
            assert_eq!(waiting.line, format!("{expected:04}").as_bytes());
            spool.finish(&waiting).unwrap();
        }
        // It was read, but not delivered.
        let first = spool.next().unwrap().unwrap().id;
        drop(spool);
        let mut spool = scratch.open(1000);
        assert_eq!(spool.next().unwrap().unwrap().id, first);
        fill(&mut spool, 70..90);
        assert_eq!(drain(&mut spool), (40..90).collect::<Vec<_>>());
        drop(spool);
        let mut spool = scratch.open(1000);
        assert!(drain(&mut spool).is_empty());
        fill(&mut spool, 90..91);
        assert_eq!((drain(&mut spool), spool.dropped()), (vec![90], 0));
        let files = fs::read_dir(&scratch.0).unwrap().count();
        assert_eq!(files, 4, "a segment, the position, the name and the lock");
    }

    #[test]
    fn when_it_is_full_the_oldest_go_and_are_counted() {
        let scratch = Scratch::new("full");
        let mut spool = scratch.open(1000);
        fill(&mut spool, 0..1000);
        assert!(spool.bytes() <= 1000);
        let dropped = u32::try_from(spool.dropped()).unwrap();
        let left = drain(&mut spool);
        assert_eq!(left, (dropped..1000).collect::<Vec<_>>());
        assert!(left.len() >= 150, "{} of 200 fit", left.len());
    }

    #[test]
    fn what_was_dropped_during_its_delivery_is_not_marked() {
        let scratch = Scratch::new("during");
        let mut spool = scratch.open(80);
        fill(&mut spool, 0..10);
        let sent = spool.next().unwrap().unwrap();
        fill(&mut spool, 10..100);
        let next = spool.next().unwrap().unwrap().id;
        spool.finish(&sent).unwrap();
        assert_eq!(spool.next().unwrap().unwrap().id, next);
    }

    #[test]
    fn a_line_that_was_cut_off_is_passed_over() {
        let scratch = Scratch::new("cut");
        let mut spool = scratch.open(1000);
        fill(&mut spool, 0..2);
        let newest = path(&scratch.0, spool.newest().number);
        drop(spool);
        let file = OpenOptions::new().append(true).open(newest);
        file.unwrap().write_all(b"00").unwrap();
        let mut spool = scratch.open(1000);
        fill(&mut spool, 2..3);
        assert_eq!(drain(&mut spool), [0, 1, 2]);
    }

    #[test]
    fn a_segment_that_somebody_removed_is_passed_over() {
        let scratch = Scratch::new("removed");
        let mut spool = scratch.open(80);
        fill(&mut spool, 0..10);
        let oldest = spool.segments[0].number;
        fs::remove_file(path(&scratch.0, oldest)).unwrap();
        let left = drain(&mut spool);
        assert!(!left.is_empty() && left.ends_with(&[9]), "{left:?}");
    }

    #[test]
    fn a_broken_position_is_an_error() {
        let scratch = Scratch::new("position");
        drop(scratch.open(1000));
        fs::write(scratch.0.join(POSITION), "x").unwrap();
        for refused in [
            Spool::open(&scratch.0, 1000).map(drop),
            Spool::check(&scratch.0),
        ] {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("position"), "{said}");
        }
    }

    #[test]
    fn it_is_one_process_s_alone_and_can_be_checked_all_the_same() {
        let scratch = Scratch::new("alone");
        Spool::check(&scratch.0).unwrap();
        assert!(!scratch.0.exists(), "a check makes nothing");
        let spool = scratch.open(1000);
        let said = Spool::open(&scratch.0, 1000).err().unwrap().to_string();
        assert!(said.contains("another process"), "{said}");
        Spool::check(&scratch.0).unwrap();
        drop(spool);
        drop(scratch.open(1000));
    }
}
