//! From networks to kernels, each text once, whatever name and comments it bears.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{LowerError, Options, lower};
use onelook_cuda::plan::{Launch, Plan};
use onelook_graph::read::ModelFile;
use onelook_ptx::emit;
use onelook_ptx::lang::{Kernel, Target};
use onelook_types::Shape;

use crate::Failure;

/// A kernel that some network needs.
pub(crate) struct Entry {
    pub(crate) kernel: Arc<Kernel>,
    /// Its tiles in words.
    pub(crate) choice: String,
    /// Launches of all networks.
    pub(crate) launches: usize,
    /// File name without an extension.
    pub(crate) stem: String,
    text: String,
}

impl Entry {
    /// The kernel's name without the fingerprint of its shape and without channel counts.
    pub(crate) fn family(&self) -> &str {
        let name = self.kernel.name.as_str();
        let mut family = name.rsplit_once('_').map_or(name, |(front, _)| front);
        while let Some((front, last)) = family.rsplit_once('_')
            && last.bytes().all(|byte| byte.is_ascii_digit())
        {
            family = front;
        }
        family
    }
}

/// Kernels by what they do.
#[derive(Default)]
pub(crate) struct Distinct(HashMap<String, Entry>);

impl Distinct {
    fn add(&mut self, launch: &Launch) -> Result<(), Failure> {
        let text = emit(&launch.kernel)?;
        let entry = self
            .0
            .entry(essence(&launch.kernel, &text))
            .or_insert_with(|| Entry {
                kernel: launch.kernel.clone(),
                choice: launch.choice.clone(),
                launches: 0,
                stem: String::new(),
                text,
            });
        entry.launches += 1;
        Ok(())
    }

    /// All kernels, in files of the folder.
    pub(crate) fn write(self, folder: &Path) -> Result<Vec<Entry>, Failure> {
        let mut entries: Vec<Entry> = self.0.into_values().collect();
        entries.sort_by(|a, b| order(a).cmp(&order(b)));
        for (number, entry) in entries.iter_mut().enumerate() {
            entry.stem = format!("{}_{number:04}_{}", entry.kernel.target, entry.kernel.name);
            fs::write(folder.join(&entry.stem).with_extension("ptx"), &entry.text)?;
        }
        Ok(entries)
    }
}

fn order(entry: &Entry) -> (Target, &str, &str, &str) {
    (
        entry.kernel.target,
        entry.family(),
        &entry.choice,
        &entry.text,
    )
}

/// The text without the kernel's name and comments.
fn essence(kernel: &Kernel, text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let lines: Vec<String> = lines
        .map(|line| line.replacen(&kernel.name, "", 1))
        .collect();
    lines.join("\n")
}

/// Adds the kernels of a network for a batch of square images.
pub(crate) fn add_network(
    distinct: &mut Distinct,
    name: &str,
    model: &ModelFile,
    [batch, size]: [usize; 2],
    target: Target,
    floats: bool,
) -> Result<(), Failure> {
    let element = if floats { Element::F32 } else { Element::F16 };
    let input = Shape::from([batch, 3, size, size]);
    let plan = plan(model, &input, target, element)
        .map_err(|error| format!("{name} for {target}: {error}"))?;
    plan.launches
        .iter()
        .try_for_each(|launch| distinct.add(launch))
}

/// From images to boxes; from planes to maps where no kernel takes the ends over.
fn plan(
    model: &ModelFile,
    input: &Shape,
    target: Target,
    element: Element,
) -> Result<Plan, LowerError> {
    let detect = model.metadata.head.detect();
    let gpu = Gpu::typical(target);
    let options = Options {
        gpu,
        element,
        detect,
    };
    match lower(&model.graph, input, &options) {
        Err(LowerError::Unsupported(_)) => {
            let detect = None;
            lower(&model.graph, input, &Options { detect, ..options })
        }
        other => other,
    }
}
