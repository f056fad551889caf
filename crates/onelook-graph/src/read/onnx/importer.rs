//! Builds the graph node by node; what we lack is collected until the end.
//!
//! What only constants and the input's shape decide is computed at once. What our operators cannot
//! say is recorded, and becomes programs: of what follows from the input's shape, and of the tail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use onelook_types::Shape;

use super::call::{Call, Known, Refusal, Source};
use super::constant::ConstantReader;
use super::{damaged, proto};
use crate::op::program::{self, Budget, Data, Failure, Instruction, Program, ProgramStep, Reads};
use crate::op::{Activation, Constant, Op, ReshapeTo};
use crate::read::{Limits, ReadError};
use crate::{Graph, GraphError, ValueId};

/// Elements that computing with constants may write while reading, for all nodes together.
const FOLDING_BUDGET: u64 = 1 << 25;

/// The constants of a file by name, shared by all imports of it.
pub(super) type Constants = HashMap<String, Data>;

/// The graph under construction.
pub(super) struct Importer<'a> {
    pub(super) graph: Graph,
    reader: ConstantReader<'a>,
    names: HashMap<String, Known>,
    /// Constants of the file or computed that are nodes of the graph, by name.
    placed: HashMap<String, ValueId>,
    recorded: Vec<Recorded>,
    /// Values that are never below 0, as far as the operators tell.
    pub(super) nonnegative: HashSet<ValueId>,
    /// Names of operators that we lack.
    pub(super) missing: Vec<String>,
    folding: Budget,
    dequantising: Budget,
    pub(super) opset: i64,
    /// Whether sides or batch are symbols, so that the shape at hand is one of many.
    is_dynamic: bool,
}

/// A step of a program that may be built.
struct Recorded {
    instruction: Instruction,
    inputs: Vec<Option<Known>>,
    results: usize,
    /// Elements of the results, where they are known.
    written: usize,
    /// What a graph operator lacked for it, of this step or the first before it.
    lacking: String,
}

impl<'a> Importer<'a> {
    pub(super) fn new(limits: &'a Limits, opset: i64, is_dynamic: bool) -> Self {
        Self {
            graph: Graph::new(),
            reader: ConstantReader::new(limits),
            names: HashMap::new(),
            placed: HashMap::new(),
            recorded: Vec::new(),
            nonnegative: HashSet::new(),
            missing: Vec::new(),
            folding: Budget(FOLDING_BUDGET),
            dequantising: Budget(limits.tensor_bytes / size_of::<f32>() as u64),
            opset,
            is_dynamic,
        }
    }

    /// Declares the constants of the file and the graph's input.
    pub(super) fn begin(
        &mut self,
        constants: &Constants,
        input: &str,
        shape: Shape,
    ) -> Result<(), ReadError> {
        for (name, data) in constants {
            self.declare(name, Known::Constant(data.clone()))?;
        }
        let value = self.graph.add_input(input);
        self.declare(input, Known::Value(value, shape))
    }

    pub(super) fn declare(&mut self, name: &str, known: Known) -> Result<(), ReadError> {
        match self.names.insert(name.to_owned(), known) {
            None => Ok(()),
            Some(_) => Err(damaged(format!("'{name}' is written twice"))),
        }
    }

    /// The outputs when constants and the input's shape decide them.
    pub(super) fn folded(&mut self, call: &Call) -> Result<Option<Vec<Known>>, Refusal> {
        let count = call.node.output.len();
        let shape = match (call.node.op_type.as_str(), call.optional(0)) {
            ("Shape" | "Size", Some(Known::Value(_, shape) | Known::Quantised(_, shape, _))) => {
                Some(shape.clone())
            }
            _ => None,
        };
        let known = |input: &Option<Known>| match input {
            None => Some(None),
            Some(known) => known.data().cloned().map(Some),
        };
        let operands: Option<Vec<Option<Data>>> = call.inputs.iter().map(known).collect();
        let (instruction, results) = match (shape, operands) {
            (Some(shape), _) => {
                let instruction = call.instruction(&mut self.reader)?;
                let results = program::evaluate_shape(&instruction, &shape);
                (instruction, results)
            }
            (None, Some(operands)) => {
                let instruction = call.instruction(&mut self.reader)?;
                let budget = match call.node.op_type.as_str() {
                    "DequantizeLinear" => &mut self.dequantising,
                    _ => &mut self.folding,
                };
                match program::evaluate(&instruction, &operands, count, budget) {
                    Ok(results) => (instruction, results),
                    Err(Failure::Broken(what)) => return Err(call.broken(&what)),
                    // Perhaps the graph can say it.
                    Err(Failure::Lacking(_) | Failure::TooLarge) => return Ok(None),
                }
            }
            (None, None) => return Ok(None),
        };
        let is_bound = call.inputs.iter().flatten().any(|input| match input {
            Known::Value(..) | Known::Quantised(..) => self.is_dynamic,
            input => matches!(input, Known::Bound(..)),
        });
        if !is_bound {
            return Ok(Some(results.into_iter().map(Known::Constant).collect()));
        }
        let written = results.iter().map(|data| data.shape().elements()).sum();
        let step = self.push(instruction, call, written, String::new());
        let known = |(result, data)| Known::Bound(data, Source { step, result });
        Ok(Some(results.into_iter().enumerate().map(known).collect()))
    }

    fn push(
        &mut self,
        instruction: Instruction,
        call: &Call,
        written: usize,
        lacking: String,
    ) -> usize {
        self.recorded.push(Recorded {
            instruction,
            inputs: call.inputs.clone(),
            results: call.node.output.len(),
            written,
            lacking,
        });
        self.recorded.len() - 1
    }

    /// Why the step that yields `source` could not be a node of the graph.
    pub(super) fn lacking(&self, source: Source) -> String {
        self.recorded[source.step].lacking.clone()
    }

    /// Leaves the node to a program.
    pub(super) fn record(&mut self, call: &Call, lacking: String) -> Result<Vec<Known>, Refusal> {
        let is_quantised = |input| matches!(input, &Known::Quantised(..));
        let reads_integers = call.node.op_type == "DequantizeLinear";
        if reads_integers || call.inputs.iter().flatten().any(is_quantised) {
            return Err(Refusal::Missing(lacking));
        }
        let instruction = call.instruction(&mut self.reader)?;
        let step = self.push(instruction, call, 0, lacking);
        let known = |result| Known::Computed(Source { step, result });
        Ok((0..call.node.output.len()).map(known).collect())
    }

    pub(super) fn find(&self, name: &str, reader: &str) -> Result<&Known, ReadError> {
        self.names.get(name).ok_or_else(|| {
            damaged(format!(
                "node '{reader}' reads '{name}', which nothing before it writes"
            ))
        })
    }

    /// Ends with the graph's output and its shape; fails with all that was missing.
    pub(super) fn finish(
        mut self,
        output: &proto::ValueInfo,
        images: usize,
    ) -> Result<(Graph, Shape), ReadError> {
        if !self.missing.is_empty() {
            self.missing.sort();
            return Err(ReadError::MissingOperators {
                operators: self.missing,
            });
        }
        let name = &output.name;
        let known = self.find(name, "output")?.clone();
        let (value, shape) = match known {
            Known::Computed(source) => self.tail(name, source, images)?,
            known => {
                let value = self.place(name, &known)?;
                let reason = || damaged(format!("output '{name}' is of integers"));
                (value.ok_or_else(reason)?, known.shape())
            }
        };
        self.graph.outputs.push(value);
        Ok((self.graph, shape))
    }

    /// The program of an output, and its shape, which must be the same for all images.
    fn tail(
        &mut self,
        name: &str,
        source: Source,
        images: usize,
    ) -> Result<(ValueId, Shape), ReadError> {
        let (mut program, inputs) = self.program(source, Reads::Images(images))?;
        let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape()).collect();
        if shapes.iter().any(|shape| shape.first() != Some(&images)) {
            program.reads = Reads::All;
        }
        let one = super::tail::shape(&program, &shapes)?;
        let ids: Vec<ValueId> = inputs.iter().filter_map(Known::value_id).collect();
        Ok((self.graph.add(name, program, &ids), one))
    }

    /// The program that ends with `source`, and the values of the graph that it reads.
    fn program(
        &mut self,
        source: Source,
        reads: Reads,
    ) -> Result<(Program, Vec<Known>), ReadError> {
        self.charge(source.step)?;
        let mut is_needed = vec![false; source.step + 1];
        is_needed[source.step] = true;
        for step in (0..=source.step)
            .rev()
            .filter(|&step| step < self.recorded.len())
        {
            if is_needed[step] {
                for input in self.recorded[step].inputs.iter().flatten() {
                    if let Known::Bound(_, from) | Known::Computed(from) = input {
                        is_needed[from.step] = true;
                    }
                }
            }
        }
        let steps: Vec<usize> = (0..=source.step).filter(|&step| is_needed[step]).collect();
        for &step in &steps {
            self.charge(self.recorded[step].written.saturating_add(8))?;
        }
        let operands = || {
            let inputs = steps.iter().flat_map(|&step| &self.recorded[step].inputs);
            inputs.flatten()
        };
        let mut numbers: BTreeMap<ValueId, usize> = BTreeMap::new();
        let mut values = Vec::new();
        for operand in operands() {
            if let Some(id) = operand.value_id()
                && !numbers.contains_key(&id)
            {
                numbers.insert(id, values.len());
                values.push(operand.clone());
            }
        }
        let constants: Vec<Data> = operands()
            .filter_map(|operand| match operand {
                Known::Constant(data) => Some(data.clone()),
                _ => None,
            })
            .collect();
        let mut next = values.len() + constants.len();
        let mut firsts: BTreeMap<usize, usize> = BTreeMap::new();
        for &step in &steps {
            firsts.insert(step, next);
            next += self.recorded[step].results;
        }
        let mut constant = values.len();
        let mut number = |operand: &Known| match operand {
            Known::Value(id, _) | Known::Quantised(id, ..) => numbers.get(id).copied(),
            Known::Constant(_) => {
                constant += 1;
                Some(constant - 1)
            }
            Known::Bound(_, from) | Known::Computed(from) => Some(firsts[&from.step] + from.result),
            Known::Missing => None,
        };
        let mut written = Vec::with_capacity(steps.len());
        for &step in &steps {
            let recorded = &self.recorded[step];
            let operands = recorded.inputs.iter();
            written.push(ProgramStep {
                instruction: recorded.instruction.clone(),
                operands: operands
                    .map(|input| input.as_ref().and_then(&mut number))
                    .collect(),
                results: recorded.results,
            });
        }
        let program = Program {
            reads,
            inputs: values.len(),
            constants,
            steps: written,
            result: firsts[&source.step] + source.result,
        };
        Ok((program, values))
    }

    /// Takes from the budget what a program costs to build and to run for one shape, for each that
    /// needs a step has it anew.
    fn charge(&mut self, elements: usize) -> Result<(), ReadError> {
        self.folding.charge(elements).map_err(|_| ReadError::Limit {
            what: "computing with the constants of the file".to_owned(),
            actual: FOLDING_BUDGET + 1,
            limit: FOLDING_BUDGET,
        })
    }

    /// The graph's value for the node's input at `index`, which is `known`; a constant becomes a
    /// node, the same one for all who read it by its name.
    fn value(&mut self, call: &Call, index: usize, known: &Known) -> Result<ValueId, Refusal> {
        let name = call.node.input.get(index).map(String::as_str);
        let made = name.and_then(|name| self.placed.get(name)).copied();
        if let (Some(value), Some(_)) = (made, known.data()) {
            return Ok(value);
        }
        let value = self
            .place(name.unwrap_or("constant"), known)?
            .ok_or_else(|| call.lacking("arithmetic on integers"))?;
        if let (Some(name), Some(_)) = (name, known.data()) {
            self.placed.insert(name.to_owned(), value);
        }
        Ok(value)
    }

    /// The graph's value for `known`, unless it is of integers.
    fn place(&mut self, name: &str, known: &Known) -> Result<Option<ValueId>, ReadError> {
        Ok(match known {
            Known::Value(value, _) => Some(*value),
            Known::Constant(Data::Floats(tensor)) => {
                let tensor = Arc::clone(tensor);
                Some(self.graph.add(name, Constant { tensor }, &[]))
            }
            Known::Bound(Data::Floats(_), source) => {
                let (program, inputs) = self.program(*source, Reads::Shapes)?;
                let ids: Vec<ValueId> = inputs.iter().filter_map(Known::value_id).collect();
                Some(self.graph.add(name, program, &ids))
            }
            _ => None,
        })
    }

    /// Appends `op` with the given inputs.
    pub(super) fn apply(
        &mut self,
        call: &Call,
        op: impl Into<Op>,
        inputs: &[&Known],
    ) -> Result<Vec<Known>, Refusal> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|known| known.shape()).collect();
        let written = infer(call, &op, &shapes)?;
        // Engines have no empty values, but programs do.
        if written.iter().any(|shape| shape.contains(&0)) {
            return Err(call.lacking("to no elements"));
        }
        let mut values = Vec::with_capacity(inputs.len());
        for (index, known) in inputs.iter().enumerate() {
            values.push(self.value(call, index, known)?);
        }
        Ok(self.add(call, op, &values, written))
    }

    /// Appends a reshape of `input` to the extents that `source` computes.
    pub(super) fn reshape_to(
        &mut self,
        call: &Call,
        input: &Known,
        source: Source,
    ) -> Result<Vec<Known>, Refusal> {
        let (extents, read) = self.program(source, Reads::Shapes)?;
        let mut values = vec![self.value(call, 0, input)?];
        values.extend(read.iter().filter_map(Known::value_id));
        let mut shapes = vec![input.shape()];
        shapes.extend(read.iter().map(Known::shape));
        let op = ReshapeTo { extents }.into();
        let written = infer(call, &op, &shapes)?;
        Ok(self.add(call, op, &values, written))
    }

    fn add(&mut self, call: &Call, op: Op, values: &[ValueId], written: Vec<Shape>) -> Vec<Known> {
        let is_nonnegative = match &op {
            Op::Activation(function) => *function != Activation::Silu,
            Op::Softmax(_) => true,
            op => {
                op.as_operator().only_moves_values()
                    && values.iter().all(|value| self.nonnegative.contains(value))
            }
        };
        let outputs = self
            .graph
            .add_with_outputs(call.name(), op, values, written.len());
        if is_nonnegative {
            self.nonnegative.extend(&outputs);
        }
        let known = outputs.into_iter().zip(written);
        known
            .map(|(value, shape)| Known::Value(value, shape))
            .collect()
    }
}

fn infer(call: &Call, op: &Op, inputs: &[Shape]) -> Result<Vec<Shape>, Refusal> {
    let read: Vec<&Shape> = inputs.iter().collect();
    let broken = |error: GraphError| ReadError::Graph(error.at(call.name()));
    let written = op.as_operator().infer(&read).map_err(broken)?;
    match written
        .iter()
        .all(|shape| shape.checked_elements().is_some())
    {
        true => Ok(written),
        false => Err(call.broken("its result is too large")),
    }
}
