//! Builds the graph node by node; what we lack is collected until the end.

use std::collections::HashMap;

use onelook_types::{Shape, Tensor};

use super::call::{Call, Known, Refusal};
use super::constant::{Constant, ConstantReader};
use super::{operators, proto};
use crate::op::Op;
use crate::read::{Limits, ReadError};
use crate::{Graph, GraphError};

/// Work spent on computing with constants while reading, in elementary steps for all nodes.
const FOLDING_BUDGET: u64 = 1 << 26;

/// The graph under construction.
pub(super) struct Importer<'a> {
    pub(super) graph: Graph,
    pub(super) constants: ConstantReader<'a>,
    names: HashMap<String, Known>,
    missing: Vec<String>,
    folding: u64,
    opset: i64,
}

impl<'a> Importer<'a> {
    pub(super) fn new(limits: &'a Limits, opset: i64) -> Self {
        Self {
            graph: Graph::new(),
            constants: ConstantReader::new(limits),
            names: HashMap::new(),
            missing: Vec::new(),
            folding: FOLDING_BUDGET,
            opset,
        }
    }

    /// Declares a constant of the file; each is dropped as soon as it is converted.
    pub(super) fn initializer(&mut self, tensor: proto::Tensor) -> Result<(), ReadError> {
        let constant = self.constants.read(&tensor)?;
        self.declare(&tensor.name, Known::Constant(constant))
    }

    /// Declares the graph's input.
    pub(super) fn input(&mut self, name: &str, shape: Shape) -> Result<(), ReadError> {
        let value = self.graph.add_input(name);
        self.declare(name, Known::Value(value, shape))
    }

    fn declare(&mut self, name: &str, known: Known) -> Result<(), ReadError> {
        match self.names.insert(name.to_owned(), known) {
            None => Ok(()),
            Some(_) => Err(damaged(format!("'{name}' is written twice"))),
        }
    }

    /// Imports a node.
    pub(super) fn node(&mut self, node: &proto::Node) -> Result<(), ReadError> {
        let inputs: Result<Vec<Option<Known>>, ReadError> = node
            .input
            .iter()
            .map(|name| match name.as_str() {
                "" => Ok(None),
                name => self.find(name, &node.name).cloned().map(Some),
            })
            .collect();
        let call = Call {
            node,
            inputs: inputs?,
            opset: self.opset,
        };
        let outputs = match operators::import(self, &call) {
            Ok(outputs) => outputs,
            Err(Refusal::Broken(error)) => return Err(error),
            Err(Refusal::Missing(what)) => {
                if !what.is_empty() && !self.missing.contains(&what) {
                    self.missing.push(what);
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
                self.declare(name, known)?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str, reader: &str) -> Result<&Known, ReadError> {
        self.names.get(name).ok_or_else(|| {
            damaged(format!(
                "node '{reader}' reads '{name}', which nothing before it writes"
            ))
        })
    }

    /// Ends with the graph's outputs and their shapes; fails with all that was missing.
    pub(super) fn finish(
        mut self,
        outputs: &[proto::ValueInfo],
    ) -> Result<(Graph, Vec<Shape>), ReadError> {
        if !self.missing.is_empty() {
            self.missing.sort();
            return Err(ReadError::MissingOperators {
                operators: self.missing,
            });
        }
        let mut shapes = Vec::with_capacity(outputs.len());
        for output in outputs {
            let known = self.find(&output.name, "output")?.clone();
            shapes.push(known.shape());
            let value = self
                .value(&output.name, &known)
                .ok_or_else(|| damaged(format!("output '{}' is of integers", output.name)))?;
            self.graph.outputs.push(value);
        }
        Ok((self.graph, shapes))
    }

    /// The graph's value for `known`; a constant becomes a node.
    fn value(&mut self, name: &str, known: &Known) -> Option<crate::ValueId> {
        match known {
            Known::Value(value, _) => Some(*value),
            Known::Constant(Constant::Floats(tensor)) => {
                let constant = crate::op::Constant {
                    tensor: tensor.clone(),
                };
                let value = self.graph.add(name, constant, &[]);
                let shape = tensor.shape().clone();
                self.names
                    .insert(name.to_owned(), Known::Value(value, shape));
                Some(value)
            }
            Known::Constant(Constant::Integers(_)) | Known::Missing => None,
        }
    }

    /// Appends `op` with the given inputs, or computes it now when all of them are constants.
    pub(super) fn apply(
        &mut self,
        call: &Call,
        op: impl Into<Op>,
        inputs: &[&Known],
    ) -> Result<Vec<Known>, Refusal> {
        let op = op.into();
        let operator = op.as_operator();
        let shapes: Vec<Shape> = inputs.iter().map(|known| known.shape()).collect();
        let read: Vec<&Shape> = shapes.iter().collect();
        let broken = |error: GraphError| ReadError::Graph(error.at(call.name()));
        let written = operator.infer(&read).map_err(broken)?;
        let work = written
            .iter()
            .try_fold(operator.flops(&read), |sum, shape| {
                sum.checked_add(shape.checked_elements()? as u64)
            })
            .ok_or_else(|| call.broken("its result is too large"))?;
        if let Some(tensors) = constants(inputs)
            && work <= self.folding
        {
            self.folding -= work;
            let results = operator.execute(&tensors).map_err(broken)?;
            return Ok(results.into_iter().map(known_tensor).collect());
        }
        let mut values = Vec::with_capacity(inputs.len());
        for (index, known) in inputs.iter().enumerate() {
            let name = call
                .node
                .input
                .get(index)
                .map_or("constant", String::as_str);
            let value = self.value(name, known);
            values.push(value.ok_or_else(|| call.lacking("arithmetic on integers"))?);
        }
        let outputs = self
            .graph
            .add_with_outputs(call.name(), op, &values, written.len());
        Ok(outputs
            .into_iter()
            .zip(written)
            .map(|(value, shape)| Known::Value(value, shape))
            .collect())
    }
}

/// The tensors behind the inputs if all are constants.
fn constants<'a>(inputs: &[&'a Known]) -> Option<Vec<&'a Tensor>> {
    inputs
        .iter()
        .map(|known| match known {
            Known::Constant(Constant::Floats(tensor)) => Some(tensor.as_ref()),
            _ => None,
        })
        .collect()
}

fn known_tensor(tensor: Tensor) -> Known {
    Known::Constant(Constant::Floats(std::sync::Arc::new(tensor)))
}

fn damaged(reason: String) -> ReadError {
    ReadError::Damaged {
        format: "onnx",
        reason,
    }
}
