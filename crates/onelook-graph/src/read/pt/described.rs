//! A network that is described in words of this program: a tree of modules in, a graph out, by the
//! same builders as for a checkpoint. It has no file; a caller's source gives the tensors.

use onelook_types::{Shape, Tensor};

use super::build;
use super::checkpoint::Checkpoint;
use super::damaged;
use super::module::Module;
use super::pickle::{Id, Name, Node, Pickle, Record};
use super::tensors::TensorSource;
use crate::read::{ModelFile, ReadError, ReadOptions};

/// A module as a checkpoint would record it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// The class's own name.
    pub(crate) class: &'static str,
    /// Plain attributes.
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
    /// Modules inside, in order.
    pub(crate) children: Vec<(&'static str, Self)>,
    /// Parameters and buffers with their extents.
    pub(crate) tensors: Vec<(&'static str, Vec<usize>)>,
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub(crate) enum Attribute {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Several whole numbers.
    Ints(Vec<i64>),
    /// Any number.
    Float(f64),
    /// The elements of a tensor.
    Elements(Vec<f32>),
}

/// Builds the detection model whose layers are the children of `layers`; `fill` gives the elements
/// of the tensor of a path and shape.
pub(crate) fn build(
    layers: &Described,
    options: &ReadOptions,
    fill: &mut dyn FnMut(&str, &Shape) -> Vec<f32>,
) -> Result<ModelFile, ReadError> {
    let mut writer = Writer {
        pickle: Pickle::empty(),
    };
    let layers = writer.module(layers);
    let layers = writer.dict(vec![("model", layers)]);
    let root = writer.object("DetectionModel", vec![("_modules", layers)]);
    let pickle = writer.pickle;
    let checkpoint = Checkpoint {
        pickle: &pickle,
        model: Module::new(&pickle, root, String::new())?,
    };
    let mut tensors = Filled {
        pickle: &pickle,
        fill,
    };
    build::build(&checkpoint, &mut tensors, options)
}

/// Tensors that a function fills. Their place in the pickle holds the extents, or the elements.
struct Filled<'p> {
    pickle: &'p Pickle<'p>,
    fill: &'p mut dyn FnMut(&str, &Shape) -> Vec<f32>,
}

impl TensorSource for Filled<'_> {
    fn read(&mut self, id: Id, what: &str) -> Result<Tensor, ReadError> {
        let (shape, elements) = match self.pickle.node(id) {
            Node::List(elements) => {
                let elements = elements.iter().filter_map(|&id| self.pickle.float(id));
                let elements: Vec<f32> = elements.map(|element| element as f32).collect();
                (Shape::from([elements.len()]), elements)
            }
            Node::Tuple(extents) => {
                let extents = extents.iter().filter_map(|&id| self.pickle.int(id));
                let shape = Shape::from(extents.map(|extent| extent as usize).collect::<Vec<_>>());
                let elements = (self.fill)(what, &shape);
                (shape, elements)
            }
            _ => return Err(damaged(format!("'{what}' is described as no tensor"))),
        };
        Tensor::new(shape, elements).map_err(damaged)
    }
}

/// Writes modules into a pickle.
struct Writer {
    pickle: Pickle<'static>,
}

impl Writer {
    fn module(&mut self, module: &Described) -> Id {
        let children = module.children.iter();
        let children = children.map(|(name, child)| (*name, self.module(child)));
        let children = children.collect();
        let tensors = module.tensors.iter();
        let tensors = tensors.map(|(name, extents)| (*name, self.extents(extents)));
        let tensors = tensors.collect();
        let attributes = module.attributes.iter();
        let attributes = attributes.map(|(name, value)| (*name, self.attribute(value)));
        let mut entries: Vec<(&'static str, Id)> = attributes.collect();
        entries.push(("_modules", self.dict(children)));
        entries.push(("_parameters", self.dict(tensors)));
        self.object(module.class, entries)
    }

    fn object(&mut self, class: &'static str, state: Vec<(&'static str, Id)>) -> Id {
        let name = Name {
            module: "described",
            name: class,
        };
        let record = Record {
            class: self.pickle.add(Node::Global(Box::new(name))),
            args: self.pickle.add(Node::Tuple(Vec::new())),
            state: Some(self.dict(state)),
            items: Vec::new(),
        };
        self.pickle.add(Node::Object(Box::new(record)))
    }

    fn dict(&mut self, entries: Vec<(&'static str, Id)>) -> Id {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (self.pickle.add(Node::Str(key)), value));
        let entries = entries.collect();
        self.pickle.add(Node::Dict(entries))
    }

    fn extents(&mut self, extents: &[usize]) -> Id {
        let extents = extents.iter().map(|&extent| Node::Int(extent as i64));
        let extents = extents.map(|extent| self.pickle.add(extent)).collect();
        self.pickle.add(Node::Tuple(extents))
    }

    fn attribute(&mut self, value: &Attribute) -> Id {
        let node = match value {
            Attribute::Bool(value) => Node::Bool(*value),
            Attribute::Int(value) => Node::Int(*value),
            Attribute::Float(value) => Node::Float(*value),
            Attribute::Ints(values) => {
                let values = values.iter().map(|&value| Node::Int(value));
                Node::List(values.map(|value| self.pickle.add(value)).collect())
            }
            Attribute::Elements(values) => {
                let values = values.iter().map(|&value| Node::Float(f64::from(value)));
                Node::List(values.map(|value| self.pickle.add(value)).collect())
            }
        };
        self.pickle.add(node)
    }
}
