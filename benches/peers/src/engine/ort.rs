//! ONNX Runtime in a Python child that answers one line per forward pass with its own clock.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Engine, Failure, Run};

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ort_worker.py");

pub struct Ort {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    name: String,
    folder: PathBuf,
    /// The worker keeps the input that it read last; all rounds use the same one.
    input_written: bool,
}

impl Ort {
    pub fn load(python: &Path, model: &Path, size: usize, threads: usize) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("peers-{}-{threads}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut child = Command::new(python)
            .arg(WORKER)
            .arg(model)
            .args([size.to_string(), threads.to_string()])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe to the worker")?;
        let stdout = child.stdout.take().ok_or("no pipe from the worker")?;
        let mut ort = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            name: String::new(),
            folder,
            input_written: false,
        };
        ort.name = format!("ONNX Runtime {}", ort.line()?);
        Ok(ort)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("the ONNX Runtime worker ended: has this python onnxruntime?".into());
        }
        Ok(line.trim().to_owned())
    }
}

impl Engine for Ort {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        if !self.input_written {
            let bytes: Vec<u8> = input.iter().flat_map(|v| v.to_le_bytes()).collect();
            fs::write(self.folder.join("input.f32"), bytes)?;
            self.input_written = true;
        }
        self.stdin.write_all(b"run\n")?;
        self.stdin.flush()?;
        let time = Duration::from_nanos(self.line()?.parse()?);
        let output = fs::read(self.folder.join("output.f32"))?
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok(Run { output, time })
    }
}

impl Drop for Ort {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
