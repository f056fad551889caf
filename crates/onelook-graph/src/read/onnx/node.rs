//! A node of the file: computed while reading, a node of the graph, or a step of a program.

use super::call::{Call, Known, Refusal};
use super::importer::Importer;
use super::{damaged, operators, proto};
use crate::op::program;
use crate::read::ReadError;

/// Imports a node.
pub(super) fn import(importer: &mut Importer, node: &proto::Node) -> Result<(), ReadError> {
    let inputs: Result<Vec<Option<Known>>, ReadError> = node
        .input
        .iter()
        .map(|name| match name.as_str() {
            "" => Ok(None),
            name => importer.find(name, &node.name).cloned().map(Some),
        })
        .collect();
    let call = Call {
        node,
        inputs: inputs?,
        opset: importer.opset,
    };
    let outputs = match outputs(importer, &call) {
        Ok(outputs) => outputs,
        Err(Refusal::Broken(error)) => return Err(error),
        Err(Refusal::Missing(what)) => {
            if !what.is_empty() && !importer.missing.contains(&what) {
                importer.missing.push(what);
            }
            vec![Known::Missing; node.output.len()]
        }
    };
    if outputs.len() < node.output.len() {
        let reason = format!("{} '{}' has too many outputs", node.op_type, node.name);
        return Err(damaged(reason));
    }
    for (name, known) in node.output.iter().zip(outputs) {
        if !name.is_empty() {
            importer.declare(name, known)?;
        }
    }
    Ok(())
}

/// What the node's outputs stand for: computed now, a node of the graph, or a recorded step.
fn outputs(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let is_known = call.is_standard() && program::knows(&call.node.op_type);
    if !is_known && !operators::supports(call) {
        return Err(Refusal::Missing(operators::full_name(call)));
    }
    let inputs = || call.inputs.iter().flatten();
    if inputs().any(|input| matches!(input, Known::Missing)) {
        return Err(Refusal::Missing(String::new()));
    }
    let computed = inputs().find_map(|input| match input {
        Known::Computed(source) => Some(*source),
        _ => None,
    });
    if let Some(source) = computed {
        // It is not this operator's fault that a program computes what it reads.
        let lacking = importer.lacking(source);
        return match is_known {
            true => importer.record(call, lacking),
            false => Err(Refusal::Missing(lacking)),
        };
    }
    if is_known && let Some(known) = importer.folded(call)? {
        return Ok(known);
    }
    match operators::import(importer, call) {
        Err(Refusal::Missing(lacking)) if is_known => importer.record(call, lacking),
        outputs => outputs,
    }
}
