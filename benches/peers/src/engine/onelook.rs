//! This project's CPU engine, by the same calls that the product uses.

use std::fs;
use std::path::Path;

use onelook_cpu::Cpu;
use onelook_graph::read::{ReadOptions, read};
use onelook_graph::{Backend, Executable, pass};
use onelook_types::Tensor;

use super::{Engine, Failure, Run};

pub struct Onelook {
    network: Box<dyn Executable>,
    outputs: Vec<Tensor>,
    size: usize,
    name: String,
}

impl Onelook {
    pub fn load(path: &Path, size: usize, threads: usize) -> Result<Self, Failure> {
        let mut graph = read(&fs::read(path)?, &ReadOptions::default())?.graph;
        pass::optimise(&mut graph);
        let cpu = Cpu::new(Some(threads))?;
        let name = format!("onelook ({})", cpu.isa().name());
        let network = cpu.compile(&graph)?;
        Ok(Self {
            network,
            outputs: Vec::new(),
            size,
            name,
        })
    }
}

impl Engine for Onelook {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let tensor = Tensor::new([1, 3, self.size, self.size], input.to_vec())?;
        let ((), time) =
            crate::timed(|| Ok(self.network.run_into(&[&tensor], &mut self.outputs)?))?;
        let output = self.outputs.first().ok_or("no output")?.data().to_vec();
        Ok(Run { output, time })
    }
}
