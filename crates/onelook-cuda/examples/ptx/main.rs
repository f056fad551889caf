//! Assembles every kernel that networks need with ptxas and reports what each costs; fails when one
//! spills, needs a stack, or uses more registers than it may. `cargo xtask ptx` finds ptxas and
//! runs this.

mod assemble;
mod kernels;
mod report;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use onelook_graph::read::{ModelFile, ReadOptions, read};
use onelook_graph::{family, pass};
use onelook_ptx::lang::Target;

use kernels::{Distinct, add_network};

const USAGE: &str = "\
ptx --ptxas FILE --folder FOLDER [--model NAME]... [--target sm_90a]... [--batch 1]...
    [--size 640] [--f32] [--quick] [--write PAGE]

  --ptxas   the assembler; without it the PTX is only written
  --folder  where PTX, cubins, ptxas's output and the tables go: kernels.txt has a line per kernel,
            tiles.md one per family and tile
  --model   a name such as yolo11x, or a model file; all families and scales unless said otherwise
  --quick   the n scale of each family, and one of them in floats
  --write   also writes the summary to this file, as Markdown";

pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match Wanted::parse(std::env::args().skip(1)).and_then(|wanted| wanted.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Wanted {
    ptxas: Option<PathBuf>,
    folder: PathBuf,
    models: Vec<String>,
    targets: Vec<Target>,
    batches: Vec<usize>,
    size: usize,
    floats: bool,
    quick: bool,
    page: Option<PathBuf>,
}

impl Wanted {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut wanted = Self {
            size: 640,
            ..Self::default()
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(USAGE);
            match word.as_str() {
                "--ptxas" => wanted.ptxas = Some(value()?.into()),
                "--folder" => wanted.folder = value()?.into(),
                "--model" => wanted.models.push(value()?),
                "--target" => wanted.targets.push(value()?.parse()?),
                "--batch" => wanted.batches.push(value()?.parse()?),
                "--size" => wanted.size = value()?.parse()?,
                "--f32" => wanted.floats = true,
                "--quick" => wanted.quick = true,
                "--write" => wanted.page = Some(value()?.into()),
                _ => return Err(USAGE.into()),
            }
        }
        if wanted.folder.as_os_str().is_empty() {
            return Err(USAGE.into());
        }
        wanted.fill_in();
        Ok(wanted)
    }

    fn fill_in(&mut self) {
        if self.models.is_empty() {
            let scale = |name: &String| !self.quick || name.ends_with('n');
            self.models = family::names().into_iter().filter(scale).collect();
        }
        if self.targets.is_empty() {
            self.targets = Target::ALL.to_vec();
        }
        if self.batches.is_empty() {
            self.batches = if self.quick { vec![1] } else { vec![1, 32] };
        }
    }

    fn run(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder)?;
        let mut distinct = Distinct::default();
        for name in &self.models {
            eprintln!("lowering {name}");
            let mut model = network(name)?;
            pass::optimise(&mut model.graph);
            let floats = self.floats || (self.quick && name == &self.models[0]);
            for &target in &self.targets {
                for &batch in &self.batches {
                    add_network(
                        &mut distinct,
                        name,
                        &model,
                        [batch, self.size],
                        target,
                        false,
                    )?;
                }
                if floats {
                    add_network(&mut distinct, name, &model, [1, self.size], target, true)?;
                }
            }
        }
        let kernels = distinct.write(&self.folder)?;
        match &self.ptxas {
            Some(ptxas) => self.assemble(ptxas, kernels),
            None => Ok(()),
        }
    }

    fn assemble(&self, ptxas: &Path, kernels: Vec<kernels::Entry>) -> Result<(), Failure> {
        let assembled = assemble::all(ptxas, &self.folder, kernels)?;
        fs::write(self.folder.join("kernels.txt"), report::rows(&assembled))?;
        fs::write(self.folder.join("tiles.md"), report::tiles(&assembled))?;
        let summary = report::summary(&assembled);
        let mut out = std::io::stdout().lock();
        out.write_all(summary.as_bytes())?;
        let folder = self.folder.display();
        writeln!(
            out,
            "\nper kernel: {folder}/kernels.txt; per tile: {folder}/tiles.md"
        )?;
        if let Some(page) = &self.page {
            fs::write(page, report::page(&summary))?;
        }
        report::verdict(&assembled)
    }
}

/// The architecture of that name with random weights, or what the file holds.
fn network(name: &str) -> Result<ModelFile, Failure> {
    if let Some(model) = family::build(name) {
        return Ok(model);
    }
    let bytes = fs::read(name).map_err(|error| format!("{name}: {error}"))?;
    Ok(read(&bytes, &ReadOptions::default()).map_err(|error| format!("{name}: {error}"))?)
}
