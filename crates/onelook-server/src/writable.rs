//! Whether files could be made in a directory, found without leaving anything there.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether this directory can be written, or could be made and written.
///
/// # Errors
/// Why not.
pub fn check(directory: &Path) -> io::Result<()> {
    let mut place = directory;
    loop {
        match fs::metadata(place) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match place.parent() {
                Some(parent) if parent.as_os_str().is_empty() => place = Path::new("."),
                Some(parent) => place = parent,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let probe = place.join(format!(".onelook-check-{process}-{count}"));
    drop(File::create_new(&probe)?);
    fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_and_a_file_in_the_way_is_found() {
        let name = format!("onelook-writable-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        check(&root.join("a/b")).unwrap();
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        check(&root).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for place in ["file", "file/inside"] {
            let error = check(&root.join(place)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{place}");
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        fs::remove_dir_all(&root).unwrap();
    }
}
