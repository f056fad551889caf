//! The programs that read and write videos: ffmpeg and ffprobe, which users install themselves.

use std::env;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::error::VideoError;
use super::process::Process;
use super::redact::Redactor;
use crate::stop::StopHandle;

/// The variable that names ffmpeg, or the directory that it and ffprobe are in.
pub const FFMPEG_VARIABLE: &str = "ONELOOK_FFMPEG";

const LISTING_TIMEOUT: Duration = Duration::from_secs(20);
const LISTING_BYTES: u64 = 1 << 20;

/// Where ffmpeg and ffprobe are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    program: PathBuf,
    probe: PathBuf,
    /// Has the system end the program when whoever started it is gone, where there is such a program.
    setpriv: Option<PathBuf>,
}

impl Ffmpeg {
    /// Looks at `named` (the program, or the directory of both), else at `ONELOOK_FFMPEG`, else on `PATH`.
    ///
    /// # Errors
    /// They are not there; the message says how to install them.
    pub fn find(named: Option<&Path>) -> Result<Self, VideoError> {
        let variable = || env::var_os(FFMPEG_VARIABLE).filter(|value| !value.is_empty());
        let named = named
            .map(Path::to_owned)
            .or_else(|| variable().map(PathBuf::from));
        let program = match &named {
            Some(path) if path.is_dir() => executable(&path.join("ffmpeg")),
            Some(path) => executable(path).or_else(|| on_path(path.as_os_str())),
            None => on_path(OsStr::new("ffmpeg")),
        };
        let missing = |program: &'static str| VideoError::NoFfmpeg {
            program,
            place: named.as_ref().map(|path| path.display().to_string()),
        };
        let program = program.ok_or_else(|| missing("ffmpeg"))?;
        let beside = program.with_file_name("ffprobe");
        let probe = executable(&beside).or_else(|| on_path(OsStr::new("ffprobe")));
        Ok(Self {
            probe: probe.ok_or_else(|| missing("ffprobe"))?,
            program,
            setpriv: setpriv(),
        })
    }

    /// ffmpeg without any words yet. The system ends it with the thread that starts it, where that can be
    /// had: a reader that is killed would else leave it waiting for a camera that sends nothing.
    pub(super) fn command(&self) -> Command {
        self.command_of(&self.program)
    }

    /// The same of another program.
    pub(super) fn command_of(&self, program: &Path) -> Command {
        let Some(setpriv) = &self.setpriv else {
            return Command::new(program);
        };
        let mut command = Command::new(setpriv);
        command.args(END_WITH_PARENT).arg(program);
        command
    }

    /// ffplay, which opens windows; beside ffmpeg, or on the `PATH`.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn player(&self) -> Result<PathBuf, VideoError> {
        let beside = executable(&self.program.with_file_name("ffplay"));
        let player = beside.or_else(|| on_path(OsStr::new("ffplay")));
        player.ok_or(VideoError::NoPlayer)
    }

    /// The same, but it may end its work when whoever started it is gone: a file is to be left whole.
    pub(super) fn writing_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-hide_banner", "-v", "error"]);
        command
    }

    /// Whether it was built with this encoder.
    pub(super) fn has_encoder(&self, name: &str) -> bool {
        let mut command = Command::new(&self.program);
        command.args(["-hide_banner", "-v", "error", "-encoders"]);
        let Ok((_process, mut output)) =
            Process::start(command, None, Redactor::default(), &StopHandle::default())
        else {
            return false;
        };
        output.set_deadline(Instant::now() + LISTING_TIMEOUT);
        let mut list = Vec::new();
        let read = output.take(LISTING_BYTES).read_to_end(&mut list);
        let list = String::from_utf8_lossy(&list);
        let mut words = list
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        read.is_ok() && words.any(|word| word == name)
    }

    /// ffprobe without any words yet.
    pub(super) fn probe_command(&self) -> Command {
        Command::new(&self.probe)
    }
}

/// The words that have the system end a program with the thread that started it.
const END_WITH_PARENT: [&str; 3] = ["--pdeathsig", "KILL", "--"];

/// A setpriv that can do it; tried once.
fn setpriv() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || on_path(OsStr::new("setpriv")).filter(|setpriv| ends_with_parent(setpriv));
    let found = FOUND.get_or_init(|| cfg!(target_os = "linux").then(find).flatten());
    found.clone()
}

/// Whether this setpriv knows the option, which that of busybox does not, and is allowed to run.
fn ends_with_parent(setpriv: &Path) -> bool {
    let mut command = Command::new(setpriv);
    command.args(END_WITH_PARENT).arg("true");
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn on_path(name: &OsStr) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find_map(|directory| executable(&directory.join(name)))
}

/// The path, made absolute, if a program is there.
fn executable(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    // `ffmpeg-5.1` is a whole name.
    if path.extension().is_none() && !env::consts::EXE_EXTENSION.is_empty() {
        path.set_extension(env::consts::EXE_EXTENSION);
    }
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o111 == 0 {
            return None;
        }
    }
    let _ = metadata;
    std::path::absolute(&path).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_version_in_the_name_stays_and_a_setpriv_without_the_option_is_not_used() {
        let directory = env::temp_dir().join(format!("onelook-programs-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let program = |name: &str, script: &str| {
            let path = directory.join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let versioned = program("ffmpeg-5.1", "");
        program("ffprobe", "");
        let found = Ffmpeg::find(Some(&versioned)).unwrap();
        assert_eq!(found.program, versioned);
        let refuses = program("refuses", "exit 1");
        let knows = program("knows", r#"[ "$*" = "--pdeathsig KILL -- true" ]"#);
        assert_eq!(
            [refuses, knows].map(|path| ends_with_parent(&path)),
            [false, true]
        );
        fs::remove_dir_all(&directory).unwrap();
    }
}
