//! Files that have their name only when they are whole.
//!
//! Each is written under another name in the same directory, then renamed: whatever ends the program,
//! there is no half file under a name that somebody reads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use onelook::printable::printable_path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, refused};

/// Writes a file of these bytes, in place of one that is there. What is no plain file, such as
/// `/dev/stdout`, is written as it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // A link stays one: its target is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(&target, bytes).map_err(refused(path));
    }
    let partial = partial_name(&target);
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &target));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.map_err(refused(path))
}

/// A file that grows line by line and gets its name at the end.
pub struct LineFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Of these bytes.
    digest: Sha256,
    failed: bool,
}

/// How much of a [`LineFile`] was written when its state was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFileState {
    path: PathBuf,
    /// Bytes of whole lines.
    length: u64,
    /// Of these bytes: another run may have written a file of this name since.
    digest: [u8; 32],
}

impl LineFile {
    /// Begins an empty file.
    pub fn create(path: PathBuf) -> Result<Self, Failure> {
        let partial = partial_name(&path);
        Self::create_as(path, partial)
    }

    /// Begins an empty file that another program may go on with.
    pub fn create_resumable(path: PathBuf) -> Result<Self, Failure> {
        let partial = resumable_name(&path);
        Self::create_as(path, partial)
    }

    fn create_as(path: PathBuf, partial: PathBuf) -> Result<Self, Failure> {
        let file = File::create(&partial).map_err(refused(&path))?;
        Ok(Self {
            path,
            partial,
            file,
            length: 0,
            digest: Sha256::new(),
            failed: false,
        })
    }

    /// Goes on with a file; what was written behind its state is cut off.
    pub fn resume(state: LineFileState) -> Result<Self, Failure> {
        let LineFileState { path, length, .. } = state;
        let partial = resumable_name(&path);
        // It may have been finished, and then the run was not.
        let was_finished = !partial.exists() && path.exists();
        let found = if was_finished { &path } else { &partial };
        let opened = File::options().read(true).append(true).open(found);
        let mut file = opened.map_err(refused(found))?;
        let digest = digest_of(&mut file, length).map_err(refused(found))?;
        if <[u8; 32]>::from(digest.clone().finalize()) != state.digest {
            let text = format!(
                "'{}' is not what the run to go on with has written: remove that run's directory to begin anew",
                printable_path(found)
            );
            return Err(Failure::failed("file", text));
        }
        if was_finished {
            fs::rename(&path, &partial).map_err(refused(&path))?;
        }
        file.set_len(length).map_err(refused(&partial))?;
        Ok(Self {
            path,
            partial,
            file,
            length,
            digest,
            failed: false,
        })
    }

    /// How much is written.
    pub fn state(&self) -> LineFileState {
        LineFileState {
            path: self.path.clone(),
            length: self.length,
            digest: self.digest.clone().finalize().into(),
        }
    }

    /// Waits for the disk, so that what is written outlives the machine too.
    pub fn sync(&mut self) -> Result<LineFileState, Failure> {
        match self.file.sync_data() {
            // Not every file system can wait.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                Err(self.incomplete(&error))
            }
            _ => Ok(self.state()),
        }
    }

    /// Adds whole lines. They are handed to the system at once: the end of this program does not
    /// lose them.
    pub fn append(&mut self, lines: &str) -> Result<(), Failure> {
        match self.file.write_all(lines.as_bytes()) {
            Ok(()) => {
                self.length += lines.len() as u64;
                self.digest.update(lines);
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                // Without the half line, where that can be done.
                let _ = self.file.set_len(self.length);
                Err(self.incomplete(&error))
            }
        }
    }

    /// Gives the file its name. Waits for the disk, which may refuse only now what it took before.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if self.failed {
            return Ok(());
        }
        let finished = match self.file.sync_all() {
            // Not every file system can wait.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
            _ => fs::rename(&self.partial, &self.path),
        };
        finished.map_err(|error| self.incomplete(&error))
    }

    fn incomplete(&self, error: &io::Error) -> Failure {
        let (path, partial) = (self.path.display(), self.partial.display());
        Failure::failed(
            "file",
            format!("'{path}': {error}; what was written so far is in '{partial}'"),
        )
    }
}

/// Of the first so many bytes of a file, or of all where there are fewer.
fn digest_of(file: &mut File, length: u64) -> io::Result<Sha256> {
    let mut digest = Sha256::new();
    let (mut bytes, mut buffer) = (file.take(length), vec![0; 1 << 16]);
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(digest),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// The name of a file that is not finished, which a later run knows.
fn resumable_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.onelook"))
}

/// A name in the same directory that no other file has.
fn partial_name(path: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".onelook-{}-{count}.part", process::id()))
}

#[cfg(test)]
mod tests {
    use test_support::ScratchDir;

    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_replaces_another_and_leaves_nothing_beside_it() {
        let scratch = ScratchDir::new("whole");
        let path = scratch.join("a.txt");
        for text in ["one", "two"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let missing = scratch.join("no/a.txt");
        let failure = write_whole(&missing, b"x").unwrap_err();
        assert!(failure.message().contains("no/a.txt"));
        assert_eq!(files(&scratch), ["a.txt"]);
        write_whole(Path::new("/dev/null"), b"x").unwrap();
    }

    #[test]
    fn a_line_file_has_its_name_only_at_the_end() {
        let scratch = ScratchDir::new("lines");
        let path = scratch.join("a.csv");
        let mut file = LineFile::create(path.clone()).unwrap();
        file.append("a\nb\n").unwrap();
        assert!(!path.exists());
        let [partial] = files(&scratch).try_into().unwrap();
        assert_eq!(fs::read_to_string(scratch.join(partial)).unwrap(), "a\nb\n");
        file.finish().unwrap();
        assert_eq!(files(&scratch), ["a.csv"]);
    }

    #[test]
    fn a_file_is_cut_back_to_its_state_and_goes_on() {
        let scratch = ScratchDir::new("resumed");
        let path = scratch.join("a.csv");
        let mut file = LineFile::create_resumable(path.clone()).unwrap();
        file.append("one\n").unwrap();
        let state = file.sync().unwrap();
        file.append("two\n").unwrap();
        for was_finished in [false, true] {
            if was_finished {
                file.finish().unwrap();
            }
            file = LineFile::resume(state.clone()).unwrap();
            file.append("three\n").unwrap();
        }
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
        assert_eq!(files(&scratch), ["a.csv"]);
        for other in ["o", "two\nthree\n"] {
            fs::write(&path, other).unwrap();
            let failure = LineFile::resume(state.clone()).err().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
            assert!(
                failure.message().contains("is not what the run"),
                "{}",
                failure.message()
            );
        }
    }

    /// `/dev/full` takes nothing, as a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_a_failure_that_names_the_file_and_what_is_left() {
        let scratch = ScratchDir::new("disk");
        let path = scratch.join("a.csv");
        let mut file = LineFile::create(path.clone()).unwrap();
        file.append("a\n").unwrap();
        file.file = File::options().write(true).open("/dev/full").unwrap();
        let failure = file.append("b\n").unwrap_err();
        assert!(
            failure
                .message()
                .contains("a.csv': No space left on device")
        );
        assert!(
            failure
                .message()
                .contains("what was written so far is in '")
        );
        file.finish().unwrap();
        assert!(!path.exists());
    }
}
