//! Writes the PTX of every kernel that networks need: one file per distinct text, and `index.tsv`
//! with a line per file. `cargo xtask ptx` runs it and ptxas over what it wrote.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use onelook_cuda::kernels::Element;
use onelook_cuda::lang::{Kernel, Target, live_registers};
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::plan::{Launch, Plan};
use onelook_cuda::ptx::emit;
use onelook_graph::pass;
use onelook_graph::read::{ModelFile, ReadOptions, read};
use onelook_types::Shape;

const USAGE: &str =
    "kernels FOLDER MODEL... [--target sm_90a]... [--batch 1]... [--size 640] [--f32]

MODEL is a model file; all targets and batch 1 unless said otherwise";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<(), Failure> {
    let wanted = Wanted::parse(arguments)?;
    let mut files = Files::new(&wanted.folder)?;
    for path in &wanted.models {
        let mut model = read(&fs::read(path)?, &ReadOptions::default())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        pass::optimise(&mut model.graph);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        wanted.each(|target, batch| {
            let plan = wanted.plan(&model, target, batch)?;
            files.add(&plan, &format!("{name} x{batch}"))
        })?;
    }
    files.write_index()
}

/// What the command line asks for.
struct Wanted {
    folder: PathBuf,
    models: Vec<PathBuf>,
    targets: Vec<Target>,
    batches: Vec<usize>,
    size: usize,
    element: Element,
}

impl Wanted {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut wanted = Self {
            folder: arguments.next().ok_or(USAGE)?.into(),
            models: Vec::new(),
            targets: Vec::new(),
            batches: Vec::new(),
            size: 640,
            element: Element::F16,
        };
        while let Some(word) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match word.as_str() {
                "--target" => wanted.targets.push(value()?.parse()?),
                "--batch" => wanted.batches.push(value()?.parse()?),
                "--size" => wanted.size = value()?.parse()?,
                "--f32" => wanted.element = Element::F32,
                _ if word.starts_with('-') => return Err(USAGE.into()),
                _ => wanted.models.push(word.into()),
            }
        }
        if wanted.targets.is_empty() {
            wanted.targets = Target::ALL.to_vec();
        }
        if wanted.batches.is_empty() {
            wanted.batches.push(1);
        }
        Ok(wanted)
    }

    fn each(
        &self,
        mut act: impl FnMut(Target, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for &target in &self.targets {
            for &batch in &self.batches {
                act(target, batch)?;
            }
        }
        Ok(())
    }

    fn plan(&self, model: &ModelFile, target: Target, batch: usize) -> Result<Plan, Failure> {
        let options = Options {
            gpu: Gpu::typical(target),
            element: self.element,
            detect: Some(&model.metadata.head),
        };
        let input = Shape::from([batch, 3, self.size, self.size]);
        Ok(lower(&model.graph, &input, &options)?)
    }
}

/// The distinct kernels so far.
struct Files {
    folder: PathBuf,
    by_text: HashMap<String, usize>,
    lines: Vec<Line>,
}

/// A kernel and where it is used.
struct Line {
    file: String,
    kernel: Kernel,
    users: Vec<String>,
    choice: String,
}

impl Files {
    fn new(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            by_text: HashMap::new(),
            lines: Vec::new(),
        })
    }

    fn add(&mut self, plan: &Plan, user: &str) -> Result<(), Failure> {
        plan.launches
            .iter()
            .try_for_each(|launch| self.add_launch(launch, user))
    }

    fn add_launch(&mut self, launch: &Launch, user: &str) -> Result<(), Failure> {
        let kernel: &Kernel = &launch.kernel;
        let text = emit(kernel)?;
        let number = self.by_text.len();
        let number = *self.by_text.entry(text.clone()).or_insert(number);
        if number == self.lines.len() {
            let file = format!("{}_{number:04}_{}.ptx", kernel.target, kernel.name);
            fs::write(self.folder.join(&file), text)?;
            self.lines.push(Line {
                file,
                kernel: kernel.clone(),
                users: Vec::new(),
                choice: launch.choice.clone(),
            });
        }
        let users = &mut self.lines[number].users;
        if !users.iter().any(|known| known == user) {
            users.push(user.to_owned());
        }
        Ok(())
    }

    fn write_index(&self) -> Result<(), Failure> {
        let line = |line: &Line| {
            let kernel = &line.kernel;
            let columns = [
                line.file.clone(),
                kernel.name.clone(),
                kernel.target.to_string(),
                kernel.threads.to_string(),
                kernel.blocks_per_multiprocessor.to_string(),
                kernel.shared_bytes.to_string(),
                live_registers(kernel).to_string(),
                line.choice.clone(),
                line.users.join(", "),
            ];
            columns.join("\t") + "\n"
        };
        let text: String = self.lines.iter().map(line).collect();
        Ok(fs::write(self.folder.join("index.tsv"), text)?)
    }
}
