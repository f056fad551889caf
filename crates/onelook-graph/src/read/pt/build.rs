//! Module tree to graph: runs through the top-level modules in order, wires them by their `f`
//! (from where) and hands each to its builder.

use std::collections::HashSet;

use onelook_types::{DetectHead, Head, Metadata, OutputRole, Shape};

use super::builder::{Builder, check_limit};
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

pub(super) fn build(
    checkpoint: &Checkpoint<'_>,
    tensors: &mut dyn TensorSource,
    options: &ReadOptions,
) -> Result<ModelFile, ReadError> {
    let task = checkpoint.task()?;
    if !modules::TASKS.contains(&task) {
        let tasks: Vec<&str> = modules::TASKS.iter().map(|task| task.name()).collect();
        return Err(unsupported(format!(
            "it is a {task} model; onelook reads models of these tasks so far: {}",
            tasks.join(", ")
        )));
    }
    if checkpoint.channels() != 3 {
        let channels = checkpoint.channels();
        return Err(unsupported(format!(
            "it takes {channels} channels; images have 3"
        )));
    }
    let layers = checkpoint.model.child("model")?;
    refuse_unknown(&layers, &options.limits)?;
    let mut builder = Builder::new(modules::builder, tensors, options);
    let head = add_layers(&mut builder, checkpoint.pickle, &layers)?;
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

/// Adds all modules, and says what the last one is the head of.
fn add_layers(
    builder: &mut Builder<'_>,
    pickle: &Pickle<'_>,
    layers: &Module<'_>,
) -> Result<Head, ReadError> {
    let input = builder.graph.add_input("images");
    let children = layers.children()?;
    let Some((head, body)) = children.split_last() else {
        return Err(damaged("the model has no layers"));
    };
    let mut values = Vec::with_capacity(body.len());
    for module in body {
        let inputs = wires(pickle, module, &values, input)?;
        values.push(builder.module(module, &inputs)?);
    }
    let inputs = wires(pickle, head, &values, input)?;
    match modules::head(head.class) {
        Some(build) => build(builder, head, &inputs),
        None => Err(head.unsupported("is the last module, but no head that onelook knows")),
    }
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
        let (channels, cells) = match role {
            OutputRole::Boxes { level } => (4 * detect.reg_max, cells(level)),
            OutputRole::Scores { level } => (detect.classes, cells(level)),
            OutputRole::Extra { level } => (head.extra_values(), cells(level)),
            // Any number of pixels to a value of a prototype, as long as it is a whole one.
            OutputRole::Prototypes => {
                let rows = shape.get(2).copied().unwrap_or(0);
                let fits = side.checked_rem(rows) == Some(0);
                (head.extra_values(), if fits { rows } else { cells(0) })
            }
            _ => return Err(damaged("the head has outputs that are no maps")),
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
