//! A server as a process of its own, and a plain HTTP client for it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use test_support::ScratchDir;

/// Longest wait for anything; a build machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes when the test ends.
pub struct Scratch(pub ScratchDir);

impl Scratch {
    pub fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// `onelook serve` with these words, on free ports and the CPU.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelook"));
        command
            .args(["serve", "--device=cpu", "--port=0", "--grpc-port=none"])
            .args(words)
            .current_dir(&self.0)
            .env("COLUMNS", "100")
            .env("ONELOOK_MODELS", "/nonexistent/onelook-models")
            .env("ONELOOK_CUDA_DRIVER", "/nonexistent/libcuda.so.1")
            .env_remove("ONELOOK_REGISTRY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits until the log has this text; gives all of it.
    pub fn said(&self, text: &str) -> String {
        wait_for(text, || {
            let said = fs::read_to_string(self.path("stderr")).unwrap();
            said.contains(text).then_some(said)
        })
    }

    /// A server that listens; its log goes to the file `stderr`.
    pub fn start(&self, words: &[&str]) -> Process {
        let log = fs::File::create(self.path("stderr")).unwrap();
        Process::start(self.command(words).stderr(log))
    }
}

/// A small model that loads in no time.
pub fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../onelook-server/tests/fixtures/tiny.model")
}

/// Waits until `done` gives something.
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what} took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running server, which is killed when this is dropped.
pub struct Process {
    pub child: Child,
    pub address: String,
    lines: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts the command and reads where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let address = line
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split([' ', ',']).next());
        let address = address
            .unwrap_or_else(|| panic!("it says {line:?}"))
            .to_owned();
        Self {
            child,
            address,
            lines,
        }
    }

    /// Reads lines of standard output up to one that has this word.
    pub fn read_until(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.lines.read_line(&mut line).unwrap(),
                0,
                "no {word:?} came"
            );
            if line.contains(word) {
                return line;
            }
        }
    }

    /// Status and body of `GET path` with these headers; status 0 if there is no answer.
    pub fn get_with(&self, path: &str, headers: &str) -> (u16, String) {
        let answer = || {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = answer().unwrap_or_default();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        (status.unwrap_or(0), body.to_owned())
    }

    /// Status and body of `GET path`.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, "")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the end of the server", || child.try_wait().unwrap())
    }
}
