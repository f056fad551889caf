//! This project's CPU engine, by the same calls that the product uses.

use std::fs;
use std::path::Path;

use onelook_cpu::Cpu;
use onelook_graph::read::{ReadOptions, read};
use onelook_graph::{Backend, CompileOptions, Executable, Prepared, pass};
use onelook_types::Tensor;

use super::{Engine, Failure, Run};

pub struct Onelook {
    network: Box<dyn Executable>,
    size: usize,
    name: String,
}

impl Onelook {
    pub fn load(path: &Path, size: usize, threads: usize) -> Result<Self, Failure> {
        let mut graph = read(&fs::read(path)?, &ReadOptions::default())?.graph;
        pass::optimise(&mut graph);
        let cpu = Cpu::new(Some(threads))?;
        let name = format!("onelook ({})", cpu.isa().name());
        let network = cpu.compile(&graph, &CompileOptions::default())?;
        Ok(Self {
            network,
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
        let prepared = [Prepared::Tensors(std::slice::from_ref(&tensor))];
        let (outputs, time) = crate::timed(|| Ok(self.network.run(&prepared)?.into_raw()?))?;
        let output = outputs.first().ok_or("no output")?.data().to_vec();
        Ok(Run { output, time })
    }
}
