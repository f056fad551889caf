//! Files that a run or a job goes on with: one program at a time has them, and whatever ends it, and the machine with
//! it, each is there as a whole, the old one or the new one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use onelook::printable::printable_path;

use crate::failure::{Failure, refused};

/// Takes the lock file at `path`, which is made if there is none; the system frees the lock of a program that was
/// killed. `directory` and `what`, such as "run", say who is in the way if another program has it. Not every file
/// system has locks: there the file is opened and no more.
pub fn lock(path: &Path, directory: &Path, what: &str) -> Result<File, Failure> {
    let opened = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path);
    let lock = opened.map_err(refused(path))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        let directory = printable_path(directory);
        let text = format!("'{directory}': another onelook is at this {what}: wait for its end");
        return Err(Failure::failed("file", text));
    }
    Ok(lock)
}

/// Writes a file under the name `partial` in the same directory, waits for the disk, does `before`, and then gives it
/// its name, in place of a file that has it. When this returns it outlives the machine; on a failure nothing of it is
/// left.
pub fn write_synced(
    path: &Path,
    partial: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    before: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let written = || {
        let mut file = File::create(partial)?;
        write(&mut file)?;
        file.sync_all()
    };
    let named = || {
        fs::rename(partial, path)?;
        // The directory, so that the new name outlives the machine.
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    let done = written().map_err(refused(path));
    let done = done.and_then(|()| before());
    let done = done.and_then(|()| named().map_err(refused(path)));
    if done.is_err() {
        let _ = fs::remove_file(partial);
    }
    done
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_stays_as_it_was() {
        let root = test_support::ScratchDir::new("durable");
        let [path, partial] = ["a", "_a.partial"].map(|name| root.join(name));
        let write = |text: &'static str, before: Result<(), Failure>| {
            let write = |file: &mut File| file.write_all(text.as_bytes());
            write_synced(&path, &partial, write, || before)
        };
        write("one", Ok(())).unwrap();
        write("two", Ok(())).unwrap();
        let failure = write("three", Err(Failure::failed("file", "no line")));
        assert_eq!(failure.unwrap_err().message(), "no line");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert!(!partial.exists());
    }

    #[test]
    fn one_program_has_a_lock_and_what_is_said_in_it_stays() {
        let root = test_support::ScratchDir::new("lock");
        let path = root.join("lock");
        fs::write(&path, "holder").unwrap();
        let held = lock(&path, &root, "run").unwrap();
        let busy = lock(&path, &root, "run").unwrap_err();
        assert!(busy.message().contains("another onelook is at this run"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "holder");
        drop(held);
        lock(&path, &root, "run").unwrap();
    }
}
