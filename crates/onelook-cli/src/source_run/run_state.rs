//! What it takes to go on with a run that was ended, in a file in the run's directory that is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use onelook::media::SourcePosition;
use onelook::media::video::ResumePoint;
use onelook::printable::printable_path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::counter::CounterState;
use super::sequences::SequenceState;
use crate::durable_file;
use crate::failure::{Failure, refused};
use crate::output::OutputsState;

const FILE: &str = ".onelook-resume";
const NEXT_FILE: &str = ".onelook-resume.next";
const LOCK_FILE: &str = ".onelook-resume.lock";

/// By what a run is known again: a digest, since the words of a command line may hold passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunIdentity([u8; 32]);

impl RunIdentity {
    /// Of this program's version (others keep other things), where it was started, its command line, the files
    /// that it reads with their sizes and when they were changed last, and what other files say in `settings`.
    pub fn new<'a>(files: impl IntoIterator<Item = &'a Path>, settings: &str) -> Self {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        let directory = std::env::current_dir().unwrap_or_default();
        add(env!("CARGO_PKG_VERSION").as_bytes());
        add(directory.as_os_str().as_encoded_bytes());
        add(settings.as_bytes());
        for word in std::env::args_os().skip(1) {
            add(word.as_encoded_bytes());
        }
        for path in files {
            let metadata = fs::metadata(path).ok();
            let length = metadata.as_ref().map(fs::Metadata::len);
            let changed = metadata.and_then(|it| it.modified().ok());
            add(path.as_os_str().as_encoded_bytes());
            add(format!("{length:?} {changed:?}").as_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// What it takes to go on with a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunState {
    /// Which video comes next or goes on, from 0.
    pub index: usize,
    /// The last frame of it whose results are kept.
    pub frame: Option<ResumePoint>,
    pub sequence: Option<SequenceState>,
    /// Images and frames whose turn came, and those that could not be used.
    pub counts: [usize; 2],
    pub outputs: OutputsState,
    pub counter: Option<CounterState>,
}

impl RunState {
    /// Where the source goes on.
    pub fn position(&self) -> SourcePosition {
        SourcePosition {
            index: self.index,
            frame: self.frame.clone(),
        }
    }

    /// Frames of the video at hand whose results are kept.
    pub fn frames(&self) -> u64 {
        self.frame.as_ref().map_or(0, |point| point.frame)
    }
}

/// The file of a run's state. Only one program has it.
pub struct StateFile {
    directory: PathBuf,
    identity: RunIdentity,
    _lock: File,
}

impl StateFile {
    /// The state of the run of this identity that was kept in `directory`, if there is one.
    pub fn find(
        directory: &Path,
        identity: RunIdentity,
    ) -> Result<Option<(Self, RunState)>, Failure> {
        let path = directory.join(FILE);
        let kept = || Some(fs::read(&path).ok()?.strip_prefix(&identity.0)?.to_vec());
        if kept().is_none() {
            return Ok(None);
        }
        let file = Self::lock(directory, identity)?;
        // Whoever had it may have come further, or to the end.
        let Some(state) = kept() else {
            return Ok(None);
        };
        let state = postcard::from_bytes(&state).map_err(|error| {
            let path = printable_path(&path);
            Failure::failed(
                "file",
                format!("'{path}' cannot be read ({error}): remove it to begin anew"),
            )
        })?;
        Ok(Some((file, state)))
    }

    /// Begins one in a directory.
    pub fn create(directory: &Path, identity: RunIdentity) -> Result<Self, Failure> {
        let file = Self::lock(directory, identity)?;
        file.write(&RunState::default())?;
        Ok(file)
    }

    fn lock(directory: &Path, identity: RunIdentity) -> Result<Self, Failure> {
        let lock = durable_file::lock(&directory.join(LOCK_FILE), directory, "run")?;
        Ok(Self {
            directory: directory.to_owned(),
            identity,
            _lock: lock,
        })
    }

    /// Replaces the state. It is on the disk when this returns.
    pub fn write(&self, state: &RunState) -> Result<(), Failure> {
        let path = self.directory.join(FILE);
        let next = self.directory.join(NEXT_FILE);
        let encoded = postcard::to_extend(state, self.identity.0.to_vec())
            .map_err(|error| Failure::failed("file", format!("the state of the run: {error}")))?;
        self.sync_results().map_err(refused(&path))?;
        durable_file::write_synced(&path, &next, |file| file.write_all(&encoded), || Ok(()))
    }

    /// Has all files of the run on the disk, those of other programs too: the state must not be there first.
    fn sync_results(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(File::open(&self.directory)?)?;
        Ok(())
    }

    /// The run is complete.
    pub fn remove(self) {
        for name in [NEXT_FILE, FILE, LOCK_FILE] {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_the_same_run_alone() {
        let root = std::env::temp_dir().join(format!("onelook-state-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let model = root.join("model.pt");
        fs::write(&model, "weights").unwrap();
        let identity = || RunIdentity::new([model.as_path()], "botsort");
        assert!(StateFile::find(&root, identity()).unwrap().is_none());
        let file = StateFile::create(&root, identity()).unwrap();
        let state = RunState {
            index: 2,
            counts: [40, 1],
            ..RunState::default()
        };
        file.write(&state).unwrap();
        let busy = StateFile::find(&root, identity()).err().unwrap();
        assert!(
            busy.message().contains("another onelook"),
            "{}",
            busy.message()
        );
        drop(file);
        let (file, found) = StateFile::find(&root, identity()).unwrap().unwrap();
        assert_eq!((found.index, found.counts), (2, [40, 1]));
        drop(file);
        let other = RunIdentity::new([model.as_path()], "bytetrack");
        assert!(StateFile::find(&root, other).unwrap().is_none());
        let bytes = fs::read(root.join(FILE)).unwrap();
        fs::write(root.join(FILE), &bytes[..33]).unwrap();
        let broken = StateFile::find(&root, identity()).err().unwrap();
        assert!(
            broken.message().contains("remove it to begin anew"),
            "{}",
            broken.message()
        );
        fs::write(root.join(FILE), &bytes[..31]).unwrap();
        assert!(StateFile::find(&root, identity()).unwrap().is_none());
        fs::write(root.join(FILE), bytes).unwrap();
        fs::write(&model, "others").unwrap();
        assert!(StateFile::find(&root, identity()).unwrap().is_none());
        fs::remove_dir_all(&root).unwrap();
    }
}
