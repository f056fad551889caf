//! The graph under construction, and what builders of modules add to it.

use std::sync::Arc;

use onelook_types::Tensor;

use super::module::Module;
use super::pickle::Id;
use super::tensors::TensorSource;
use crate::read::{Limits, ReadError, ReadOptions};
use crate::{Graph, ValueId};

/// Adds what a module computes for these values.
pub(super) type Build = fn(&mut Builder<'_>, &Module<'_>, &[ValueId]) -> Result<ValueId, ReadError>;

/// The graph under construction.
pub(super) struct Builder<'p> {
    pub(super) graph: Graph,
    pub(super) end_to_end: Option<bool>,
    /// The function that builds a module of a class.
    find: fn(&str) -> Option<Build>,
    tensors: &'p mut dyn TensorSource,
    limits: Limits,
    depth: usize,
    entered: usize,
}

impl<'p> Builder<'p> {
    pub(super) fn new(
        find: fn(&str) -> Option<Build>,
        tensors: &'p mut dyn TensorSource,
        options: &ReadOptions,
    ) -> Self {
        Self {
            graph: Graph::new(),
            end_to_end: options.end_to_end,
            find,
            tensors,
            limits: options.limits.clone(),
            depth: 0,
            entered: 0,
        }
    }

    /// Adds what a module computes.
    pub(super) fn module(
        &mut self,
        module: &Module<'_>,
        inputs: &[ValueId],
    ) -> Result<ValueId, ReadError> {
        let Some(build) = (self.find)(module.class) else {
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

pub(super) fn check_limit(what: &str, actual: usize, limit: usize) -> Result<(), ReadError> {
    if actual <= limit {
        return Ok(());
    }
    Err(ReadError::Limit {
        what: what.to_owned(),
        actual: actual as u64,
        limit: limit as u64,
    })
}
