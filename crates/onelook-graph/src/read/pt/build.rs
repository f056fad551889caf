//! Module tree to graph: runs through the top-level modules in order, wires them by their `f`
//! (from where) and hands each to its builder.

use std::collections::HashSet;
use std::sync::Arc;

use onelook_types::{DetectHead, Head, Metadata, OutputRole, Shape, Task, Tensor};

use super::checkpoint::Checkpoint;
use super::module::Module;
use super::modules;
use super::pickle::{Id, Node, Pickle};
use super::tensors::TensorSource;
use super::{damaged, unsupported};
use crate::read::{Limits, ModelFile, ReadError, ReadOptions};
use crate::{Graph, ValueId, infer_shapes};

/// Elements of any map for an input of two cells of the coarsest level by two: far more than any
/// network has, far less than padding could ask for.
const MOST_ELEMENTS: usize = 1 << 28;

/// The graph under construction.
pub(super) struct Builder<'p> {
    pub(super) graph: Graph,
    pub(super) end_to_end: Option<bool>,
    tensors: &'p mut dyn TensorSource,
    limits: Limits,
    depth: usize,
    entered: usize,
}

pub(super) fn build(
    checkpoint: &Checkpoint<'_>,
    tensors: &mut dyn TensorSource,
    options: &ReadOptions,
) -> Result<ModelFile, ReadError> {
    let task = checkpoint.task()?;
    if !matches!(task, Task::Detect | Task::Segment) {
        return Err(unsupported(format!(
            "it is a {task} model; onelook reads detect and segment models so far"
        )));
    }
    if checkpoint.channels() != 3 {
        let channels = checkpoint.channels();
        return Err(unsupported(format!(
            "it takes {channels} channels; pictures have 3"
        )));
    }
    let layers = checkpoint.model.child("model")?;
    refuse_unknown(&layers, &options.limits)?;
    let mut builder = Builder {
        graph: Graph::new(),
        end_to_end: options.end_to_end,
        tensors,
        limits: options.limits.clone(),
        depth: 0,
        entered: 0,
    };
    let head = builder.layers(checkpoint.pickle, &layers)?;
    let Some(detect) = head.detect() else {
        return Err(damaged("its last module finds no objects"));
    };
    if head.task() != task {
        let found = head.task();
        return Err(damaged(format!(
            "it is recorded as a {task} model, but its last module is the head of a {found} model"
        )));
    }
    check_outputs(&builder.graph, &head, detect)?;
    let coarsest = coarsest(detect);
    let metadata = Metadata {
        architecture: checkpoint.architecture(),
        names: checkpoint.names(head.classes()),
        stride: coarsest.max(32),
        image_size: checkpoint.image_size(),
        fixed_size: false,
        notes: checkpoint.notes(),
        head,
    };
    Ok(ModelFile {
        graph: builder.graph,
        metadata,
    })
}

impl Builder<'_> {
    fn layers(&mut self, pickle: &Pickle<'_>, layers: &Module<'_>) -> Result<Head, ReadError> {
        let input = self.graph.add_input("images");
        let children = layers.children()?;
        let Some((head, body)) = children.split_last() else {
            return Err(damaged("the model has no layers"));
        };
        let mut values = Vec::with_capacity(body.len());
        for module in body {
            let inputs = wires(pickle, module, &values, input)?;
            values.push(self.module(module, &inputs)?);
        }
        let inputs = wires(pickle, head, &values, input)?;
        match modules::head(head.class) {
            Some(build) => build(self, head, &inputs),
            None => Err(head.unsupported("is the last module, but no head that onelook knows")),
        }
    }

    /// Adds what a module computes.
    pub(super) fn module(
        &mut self,
        module: &Module<'_>,
        inputs: &[ValueId],
    ) -> Result<ValueId, ReadError> {
        let Some(build) = modules::builder(module.class) else {
            return Err(module.unsupported("cannot stand here"));
        };
        self.entered += 1;
        self.depth += 1;
        check_limit("the number of modules", self.entered, self.limits.nodes)?;
        check_limit(
            "the number of nodes",
            self.graph.nodes.len(),
            self.limits.nodes,
        )?;
        check_limit("the nesting of modules", self.depth, self.limits.depth)?;
        let output = build(self, module, inputs)?;
        self.depth -= 1;
        Ok(output)
    }

    /// Adds what the child `name` computes.
    pub(super) fn child(
        &mut self,
        module: &Module<'_>,
        name: &str,
        input: ValueId,
    ) -> Result<ValueId, ReadError> {
        self.module(&module.child(name)?, &[input])
    }

    /// A parameter or buffer that may be missing.
    pub(super) fn tensor(
        &mut self,
        module: &Module<'_>,
        name: &str,
    ) -> Result<Option<Tensor>, ReadError> {
        self.read(module, name, module.tensor(name))
    }

    /// A tensor that is a plain attribute.
    pub(super) fn attribute_tensor(
        &mut self,
        module: &Module<'_>,
        name: &str,
    ) -> Result<Option<Tensor>, ReadError> {
        self.read(module, name, module.attribute(name))
    }

    fn read(
        &mut self,
        module: &Module<'_>,
        name: &str,
        id: Option<Id>,
    ) -> Result<Option<Tensor>, ReadError> {
        let what = || format!("{}.{name}", module.path);
        id.map(|id| self.tensors.read(id, &what())).transpose()
    }

    /// A parameter or buffer that must be there, of the given shape.
    pub(super) fn shaped_tensor(
        &mut self,
        module: &Module<'_>,
        name: &str,
        shape: &[usize],
    ) -> Result<Arc<Tensor>, ReadError> {
        match self.tensor(module, name)? {
            Some(tensor) if tensor.shape()[..] == *shape => Ok(Arc::new(tensor)),
            _ => Err(module.wrong(name)),
        }
    }
}

fn check_limit(what: &str, actual: usize, limit: usize) -> Result<(), ReadError> {
    if actual <= limit {
        return Ok(());
    }
    Err(ReadError::Limit {
        what: what.to_owned(),
        actual: actual as u64,
        limit: limit as u64,
    })
}

/// The values that a top-level module reads: -1 is the one before it, a natural number the module
/// of that index.
fn wires(
    pickle: &Pickle<'_>,
    module: &Module<'_>,
    values: &[ValueId],
    input: ValueId,
) -> Result<Vec<ValueId>, ReadError> {
    let wire = |from: Id| {
        let from = pickle.int(from).ok_or_else(|| module.wrong("f"))?;
        if from == -1 {
            return Ok(values.last().copied().unwrap_or(input));
        }
        let position = match from {
            0.. => Some(from),
            _ => from.checked_add(values.len() as i64),
        };
        let position = position.and_then(|position| usize::try_from(position).ok());
        position
            .and_then(|position| values.get(position).copied())
            .ok_or_else(|| module.wrong("f"))
    };
    let Some(from) = module.attribute("f") else {
        return Err(module.wrong("f"));
    };
    match pickle.node(from) {
        Node::List(sources) | Node::Tuple(sources) if sources.len() <= 64 => {
            sources.iter().map(|&source| wire(source)).collect()
        }
        _ => wire(from).map(|value| vec![value]),
    }
}

/// Lists every class that has no builder, at once.
fn refuse_unknown(layers: &Module<'_>, limits: &Limits) -> Result<(), ReadError> {
    let mut seen = HashSet::new();
    let mut unknown: Vec<&str> = Vec::new();
    let mut pending = vec![(layers.clone(), 0)];
    while let Some((module, depth)) = pending.pop() {
        if !seen.insert(module.id()) {
            continue;
        }
        check_limit("the number of modules", seen.len(), limits.nodes)?;
        check_limit("the nesting of modules", depth, limits.depth)?;
        if !modules::is_known(module.class) && !unknown.contains(&module.class) {
            unknown.push(module.class);
        }
        let children = module.children()?.into_iter();
        pending.extend(children.map(|child| (child, depth + 1)));
    }
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    unknown.truncate(50);
    Err(unsupported(format!(
        "it uses modules that onelook lacks: {}; exporting it to ONNX may work",
        unknown.join(", ")
    )))
}

/// Infers all shapes once, so that a contradiction is found here and not by an engine.
fn check_outputs(graph: &Graph, head: &Head, detect: &DetectHead) -> Result<(), ReadError> {
    let side = 2 * coarsest(detect);
    let shapes = infer_shapes(graph, &[Shape::from([1, 3, side, side])])?;
    for (value, shape) in graph.values.iter().zip(&shapes) {
        let elements = shape.checked_elements().unwrap_or(usize::MAX);
        check_limit(
            &format!("the map '{}'", value.name),
            elements,
            MOST_ELEMENTS,
        )?;
    }
    let roles = head.outputs();
    if roles.len() != graph.outputs.len() {
        return Err(damaged("the head has other outputs than its task has"));
    }
    for (output, role) in graph.outputs.iter().zip(roles) {
        let cells = |level: usize| side / detect.strides[level];
        let shape = &shapes[output.index()];
        let (channels, cells) = match (role, head) {
            (OutputRole::Boxes { level }, _) => (4 * detect.reg_max, cells(level)),
            (OutputRole::Scores { level }, _) => (detect.classes, cells(level)),
            (OutputRole::MaskCoefficients { level }, Head::Segment(segment)) => {
                (segment.prototypes, cells(level))
            }
            // Any number of pixels to a value of a prototype, as long as it is a whole one.
            (OutputRole::Prototypes, Head::Segment(segment)) => {
                let rows = shape.get(2).copied().unwrap_or(0);
                let fits = side.checked_rem(rows) == Some(0);
                (segment.prototypes, if fits { rows } else { cells(0) })
            }
            _ => return Err(damaged("the head has outputs that are not decoded yet")),
        };
        let wanted = Shape::from([1, channels, cells, cells]);
        if *shape != wanted {
            let name = &graph.value(*output).name;
            return Err(damaged(format!(
                "the head's map '{name}' is {shape}, not {wanted}"
            )));
        }
    }
    Ok(())
}

/// Pixels of the input per cell of the coarsest level.
fn coarsest(detect: &DetectHead) -> usize {
    detect.strides.iter().copied().max().unwrap_or(32)
}
