//! This project's CPU engine, by the same calls that the product uses.

use std::fs;

use onelook_cpu::Cpu;
use onelook_graph::read::{ReadOptions, read};
use onelook_graph::{Backend, CompileOptions, Executable, PlanKind, Prepared, pass};
use onelook_types::{Shape, Tensor};

use super::{Engine, Failure, Request, Run};

pub struct Onelook {
    network: Box<dyn Executable>,
    request: Request,
    path: String,
}

impl Onelook {
    pub fn load(request: Request) -> Result<Self, Failure> {
        let mut graph = read(&fs::read(&request.model)?, &ReadOptions::default())?.graph;
        pass::optimise(&mut graph);
        let cpu = Cpu::new(Some(request.threads))?;
        let options = CompileOptions {
            precision: request.precision.parse()?,
            ..CompileOptions::default()
        };
        let network = cpu.compile(&graph, &options)?;
        let explanation = network.explain(PlanKind::Tensor, &[Shape::from(request.shape())])?;
        let path = format!("{} {}", cpu.isa().name(), explanation.precision);
        Ok(Self {
            network,
            request,
            path,
        })
    }
}

impl Engine for Onelook {
    fn name(&self) -> String {
        "onelook".into()
    }

    fn path(&self) -> String {
        self.path.clone()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let tensor = Tensor::new(self.request.shape(), input.to_vec())?;
        let prepared = [Prepared::Tensors(std::slice::from_ref(&tensor))];
        let (outputs, time) = crate::timed(|| Ok(self.network.run(&prepared)?.into_raw()?))?;
        let output = outputs.first().ok_or("no output")?.data().to_vec();
        Ok(Run { output, time })
    }
}
