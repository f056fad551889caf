//! A piece of an ONNX graph that is interpreted: integers, shapes, and results whose number
//! depends on the image, which the operators of our own graph cannot say.
//!
//! Folding constants, computing what follows from the input's shape, and running the tail of an
//! export that holds its own non-maximum suppression are all this one evaluator.

mod arithmetic;
mod data;
mod indexing;
mod instruction;
mod layout;
mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

pub use data::{Data, IntegerKind, Integers};
pub use instruction::{Attribute, Budget, Failure, Instruction};
pub(crate) use instruction::{integer_kind, is_float};

use self::instruction::Call;
use super::Operator;
use crate::GraphError;

/// Axes that a value of a program may have.
const MAX_AXES: usize = 8;

/// Elements that one run on one image may write; real tails take below a tenth.
const RUN_BUDGET: u64 = 1 << 28;

/// Elements of one result; three times a head of 34,000 anchors and 365 classes.
const MAX_RESULT: usize = 1 << 25;

/// Elements of a value that a program reads. A larger one is refused before memory is taken.
const MAX_INPUT: usize = 1 << 28;

/// What a program reads of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Their shapes only: the result is known as soon as those are.
    Shapes,
    /// Their elements, so many images at a time: what the program was exported for.
    Images(usize),
    /// Their elements, all at once: nothing tells which belong to which image.
    All,
}

/// Instructions in order, from the graph's values to one result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// What is read of the inputs.
    pub reads: Reads,
    /// How many values of the graph are read; they are the first operands.
    pub inputs: usize,
    /// The operands after the inputs.
    pub constants: Vec<Data>,
    /// What is computed; results become the next operands.
    pub steps: Vec<ProgramStep>,
    /// The operand that is the result.
    pub result: usize,
}

/// An instruction with the numbers of its operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramStep {
    /// What to do.
    pub instruction: Instruction,
    /// Operands by number, `None` where one is left out.
    pub operands: Vec<Option<usize>>,
    /// How many results it has.
    pub results: usize,
}

type Evaluator = fn(&Call, &mut Budget) -> Result<Vec<Data>, Failure>;

fn evaluator(operator: &str) -> Option<Evaluator> {
    Some(match operator {
        "Add" | "Div" | "Max" | "Min" | "Mod" | "Mul" | "Pow" | "Sub" => arithmetic::binary,
        "Abs" | "Ceil" | "Exp" | "Floor" | "Log" | "Neg" | "Not" | "Reciprocal" | "Relu"
        | "Round" | "Sigmoid" | "Sign" | "Sqrt" | "Tanh" => arithmetic::unary,
        "And" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Or" | "Xor" => {
            arithmetic::compare
        }
        "ArgMax" | "ArgMin" => select::arg,
        "Cast" | "CastLike" => arithmetic::cast,
        "Clip" => arithmetic::clip,
        "Concat" => layout::concat,
        "Constant" => layout::constant,
        "ConstantOfShape" => layout::constant_of_shape,
        "DequantizeLinear" | "QuantizeLinear" => arithmetic::quantise,
        "Dropout" | "Identity" => layout::identity,
        "Expand" => layout::expand,
        "Flatten" => layout::flatten,
        "Gather" => indexing::gather,
        "GatherElements" => indexing::gather_elements,
        "GatherND" => indexing::gather_nd,
        "NonMaxSuppression" => select::non_max_suppression,
        "NonZero" => layout::non_zero,
        "Pad" => layout::pad,
        "Range" => layout::range_of,
        "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" => select::reduce,
        "Reshape" => layout::reshape,
        "ScatterND" => indexing::scatter_nd,
        "Shape" | "Size" => layout::shape,
        "Slice" => indexing::slice,
        "Softmax" => arithmetic::softmax,
        "Split" => layout::split,
        "Squeeze" => layout::squeeze,
        "Tile" => layout::tile,
        "TopK" => select::top_k,
        "Transpose" => layout::transpose,
        "Unsqueeze" => layout::unsqueeze,
        "Where" => arithmetic::choose,
        _ => return None,
    })
}

/// Whether the operator can be evaluated; its attributes are looked at when it is.
pub fn knows(operator: &str) -> bool {
    evaluator(operator).is_some()
}

/// The results of one instruction on these operands.
pub fn evaluate(
    instruction: &Instruction,
    inputs: &[Option<Data>],
    outputs: usize,
    budget: &mut Budget,
) -> Result<Vec<Data>, Failure> {
    let operator = &instruction.operator;
    let evaluate = evaluator(operator).ok_or_else(|| Failure::Lacking(operator.clone()))?;
    // Loops run over all axes but one: an empty tensor must not have huge extents either.
    if inputs
        .iter()
        .flatten()
        .any(|data| volume(data.shape()) > MAX_INPUT)
    {
        return Err(Failure::TooLarge);
    }
    let call = Call {
        instruction,
        inputs,
        outputs,
    };
    let results = evaluate(&call, budget)?;
    match results.len() < outputs {
        true => Err(call.broken("it has too many outputs")),
        false => Ok(results),
    }
}

/// The result of Shape or Size for a tensor of which only the shape is known.
pub fn evaluate_shape(instruction: &Instruction, shape: &Shape) -> Vec<Data> {
    let call = Call {
        instruction,
        inputs: &[],
        outputs: 1,
    };
    vec![layout::shape_of(&call, shape)]
}

/// Elements if no extent were 0.
fn volume(shape: &Shape) -> usize {
    shape.iter().fold(1usize, |product, &extent| {
        product.saturating_mul(extent.max(1))
    })
}

impl Program {
    /// The result for inputs of these shapes; only for programs that read shapes.
    pub fn bind(&self, inputs: &[&Shape]) -> Result<Data, GraphError> {
        match self.reads {
            Reads::Shapes => self.run_on_zeros(inputs),
            _ => Err(self.refuse(inputs, "it reads more than shapes")),
        }
    }

    /// The result for inputs that are all zeros.
    fn run_on_zeros(&self, inputs: &[&Shape]) -> Result<Data, GraphError> {
        if inputs.iter().any(|shape| volume(shape) > MAX_INPUT) {
            return Err(self.refuse(inputs, "its input is too large"));
        }
        let zeros = inputs
            .iter()
            .map(|&shape| Data::Floats(Arc::new(Tensor::zeros(shape.clone()))))
            .collect();
        self.run(zeros)
            .map_err(|reason| self.refuse(inputs, &reason))
    }

    fn refuse(&self, inputs: &[&Shape], reason: &str) -> GraphError {
        GraphError::shape(self.name(), inputs, reason)
    }

    /// Computes the result; fails with words.
    fn run(&self, inputs: Vec<Data>) -> Result<Data, String> {
        if inputs.len() != self.inputs {
            return Err(format!("it takes {} inputs", self.inputs));
        }
        // From here on every operand number is that of an earlier operand.
        self.check()?;
        let mut budget = Budget(RUN_BUDGET);
        let last = self.last_uses();
        let mut operands: Vec<Option<Data>> = inputs.into_iter().map(Some).collect();
        operands.extend(self.constants.iter().cloned().map(Some));
        for (at, step) in self.steps.iter().enumerate() {
            let read = step.operands.iter().map(|&operand| match operand {
                None => Ok(None),
                Some(operand) => match operands.get(operand) {
                    Some(Some(data)) => Ok(Some(data.clone())),
                    _ => Err(format!("operand {operand} is not there")),
                },
            });
            let read = read.collect::<Result<Vec<_>, String>>()?;
            let operator = &step.instruction.operator;
            let results = evaluate(&step.instruction, &read, step.results, &mut budget)
                .map_err(|failure| failure.words(operator))?;
            drop(read);
            for operand in step.operands.iter().flatten() {
                if last[*operand] == at {
                    operands[*operand] = None;
                }
            }
            operands.extend(results.into_iter().take(step.results).map(Some));
        }
        let result = operands.get_mut(self.result).and_then(Option::take);
        result.ok_or_else(|| format!("operand {} is not there", self.result))
    }

    /// The last step that reads each operand.
    fn last_uses(&self) -> Vec<usize> {
        let results: usize = self.steps.iter().map(|step| step.results).sum();
        let mut last = vec![usize::MAX; self.inputs + self.constants.len() + results];
        for (at, step) in self.steps.iter().enumerate() {
            for &operand in step.operands.iter().flatten() {
                last[operand] = at;
            }
        }
        last[self.result] = usize::MAX;
        last
    }

    /// The shapes of the inputs for one turn, and how many turns there are.
    fn turns(&self, inputs: &[&Shape]) -> Result<(Vec<Shape>, usize), GraphError> {
        let Reads::Images(images) = self.reads else {
            return Ok((inputs.iter().map(|&shape| shape.clone()).collect(), 1));
        };
        let batch = inputs.first().and_then(|shape| shape.first()).copied();
        let batch = batch.unwrap_or(0);
        if inputs.iter().any(|shape| shape.first() != Some(&batch)) {
            return Err(self.refuse(inputs, "its inputs must have the same batch"));
        }
        if images == 0 || !batch.is_multiple_of(images) {
            let reason = format!("it takes images by {images}");
            return Err(self.refuse(inputs, &reason));
        }
        let one = |shape: &&Shape| {
            let mut extents = shape.to_vec();
            extents[0] = images;
            Shape::from(extents)
        };
        Ok((inputs.iter().map(one).collect(), batch / images))
    }
}

impl Failure {
    /// The failure in words, for an operator.
    pub fn words(&self, operator: &str) -> String {
        match self {
            Self::Lacking(what) => format!("onelook lacks {what}"),
            Self::Broken(what) => format!("{operator}: {what}"),
            Self::TooLarge => format!("{operator}: it takes too much memory or time"),
        }
    }
}

impl Operator for Program {
    fn name(&self) -> &'static str {
        match self.reads {
            Reads::Shapes => "shape_program",
            Reads::Images(_) | Reads::All => "program",
        }
    }

    fn attributes(&self) -> String {
        let operators: BTreeSet<&str> = self
            .steps
            .iter()
            .map(|step| step.instruction.operator.as_str())
            .collect();
        let operators: Vec<&str> = operators.into_iter().collect();
        format!("{} steps: {}", self.steps.len(), operators.join(" "))
    }

    fn check(&self) -> Result<(), String> {
        let mut operands = self.inputs.saturating_add(self.constants.len());
        for step in &self.steps {
            if !knows(&step.instruction.operator) {
                return Err(format!(
                    "it uses {}, which is unknown",
                    step.instruction.operator
                ));
            }
            if step
                .operands
                .iter()
                .flatten()
                .any(|&operand| operand >= operands)
            {
                return Err("a step reads what no step before it makes".to_owned());
            }
            if step.results > 1 << 16 {
                return Err("a step has too many results".to_owned());
            }
            operands = operands.saturating_add(step.results);
        }
        let volumes = self.constants.iter().map(|data| volume(data.shape()));
        match self.result < operands && operands < 1 << 24 && volumes.max() <= Some(MAX_INPUT) {
            true => Ok(()),
            false => Err("its result or its size is out of range".to_owned()),
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let (shapes, turns) = self.turns(inputs)?;
        let one = self.run_on_zeros(&shapes.iter().collect::<Vec<_>>())?;
        repeated(one.shape(), turns)
            .filter(|_| matches!(one, Data::Floats(_)))
            .map(|shape| vec![shape])
            .ok_or_else(|| self.refuse(inputs, "its result is no batch of floats"))
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let all: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        let (shapes, turns) = self.turns(&all)?;
        let (mut values, mut one) = (Vec::new(), None);
        for turn in 0..turns {
            let part = |(shape, &input): (&Shape, &&Tensor)| {
                let floats = shape.elements();
                let values = input.data()[turn * floats..][..floats].to_vec();
                Data::floats(shape.clone(), values)
            };
            let parts = shapes.iter().zip(inputs).map(part).collect();
            let result = self
                .run(parts)
                .map_err(|reason| self.refuse(&all, &reason))?;
            let Data::Floats(tensor) = result else {
                return Err(self.refuse(&all, "its result is no batch of floats"));
            };
            if one.get_or_insert_with(|| tensor.shape().clone()) != tensor.shape() {
                return Err(self.refuse(&all, "its result's shape depends on the image"));
            }
            values.extend_from_slice(tensor.data());
        }
        let shape = one.and_then(|one| repeated(&one, turns));
        shape
            .and_then(|shape| Tensor::new(shape, values).ok())
            .map(|tensor| vec![tensor])
            .ok_or_else(|| self.refuse(&all, "its result is no batch of floats"))
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(self.inputs), 1)
    }
}

/// The shape of so many results one after the other.
fn repeated(one: &Shape, turns: usize) -> Option<Shape> {
    let mut extents = one.to_vec();
    match extents.first_mut() {
        Some(first) => *first = first.checked_mul(turns)?,
        None if turns == 1 => {}
        None => return None,
    }
    Some(Shape::from(extents))
}
