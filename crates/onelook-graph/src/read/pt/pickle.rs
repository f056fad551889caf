//! A pickle becomes inert values: pickle bytes in, an arena of [`Node`]s out.
//!
//! Nothing is imported, called or executed. A class is a name, an object a record of its class,
//! arguments and state. Shared values stay shared, so that a small file cannot grow large here.

mod allowed;
mod machine;

use super::damaged;
use crate::read::{Limits, ReadError};

/// Names a value of one pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// One value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    /// Bytes, or an integer too large to matter: nothing in a model needs their content.
    Opaque,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set,
    Dict(Vec<(Id, Id)>),
    Global(Box<Name<'a>>),
    Object(Box<Record>),
    /// What the file stores outside the pickle: a tensor's storage.
    Persistent(Id),
}

/// The name of a class that is on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

/// What a class would have been called with.
#[derive(Debug)]
pub(super) struct Record {
    /// A [`Node::Global`].
    pub(super) class: Id,
    /// A [`Node::Tuple`], or whatever the file had in its place.
    pub(super) args: Id,
    pub(super) state: Option<Id>,
    /// Items of an object that is a mapping.
    pub(super) items: Vec<(Id, Id)>,
}

/// A parsed pickle.
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    pub(super) fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, ReadError> {
        if bytes.len() as u64 > limits.description_bytes {
            return Err(ReadError::Limit {
                what: "the checkpoint's pickle".to_owned(),
                actual: bytes.len() as u64,
                limit: limits.description_bytes,
            });
        }
        machine::run(bytes, limits)
    }

    /// A pickle without values, for a description that is written here.
    pub(super) fn empty() -> Self {
        Self {
            nodes: vec![Node::None],
            root: Id(0),
        }
    }

    /// Appends a value.
    pub(super) fn add(&mut self, node: Node<'a>) -> Id {
        let id = u32::try_from(self.nodes.len()).expect("descriptions are small");
        self.nodes.push(node);
        Id(id)
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn str(&self, id: Id) -> Option<&'a str> {
        match *self.node(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match *self.node(id) {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn bool(&self, id: Id) -> Option<bool> {
        match *self.node(id) {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A float, or an integer as one.
    pub(super) fn float(&self, id: Id) -> Option<f64> {
        match *self.node(id) {
            Node::Float(value) => Some(value),
            Node::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    pub(super) fn is_none(&self, id: Id) -> bool {
        matches!(self.node(id), Node::None)
    }

    /// The elements of a list or tuple, also of one that was made by calling its class.
    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(elements) | Node::Tuple(elements) => Some(elements),
            Node::Object(record) => match self.node(record.args) {
                Node::Tuple(args) if args.len() == 1 => match self.node(args[0]) {
                    Node::List(elements) | Node::Tuple(elements) => Some(elements),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The items of a dict or of an object that is a mapping (`OrderedDict`).
    pub(super) fn items(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(items) => Some(items),
            Node::Object(record) => Some(&record.items),
            _ => None,
        }
    }

    /// What a mapping has under a text key; the last one where the file sets it twice.
    pub(super) fn get(&self, mapping: Id, key: &str) -> Option<Id> {
        let items = self.items(mapping)?;
        let found = items
            .iter()
            .rev()
            .find(|(name, _)| self.str(*name) == Some(key));
        found.map(|&(_, value)| value)
    }

    pub(super) fn record(&self, id: Id) -> Option<&Record> {
        match self.node(id) {
            Node::Object(record) => Some(record),
            _ => None,
        }
    }

    /// The name behind a class, or that of an object's class.
    pub(super) fn class(&self, id: Id) -> Option<Name<'a>> {
        match self.node(id) {
            Node::Global(name) => Some(**name),
            Node::Object(record) => match self.node(record.class) {
                Node::Global(name) => Some(**name),
                _ => None,
            },
            _ => None,
        }
    }
}
