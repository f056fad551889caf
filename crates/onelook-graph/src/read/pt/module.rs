//! A view of one `torch.nn` module's record: its class, attributes, children and tensors.

use super::pickle::{Id, Pickle};
use super::{damaged, unsupported};
use crate::read::ReadError;

/// Attributes or children of one module at most; searching them stays cheap for any file.
const MOST_ENTRIES: usize = 1024;

#[derive(Clone)]
pub(super) struct Module<'p> {
    pickle: &'p Pickle<'p>,
    id: Id,
    state: Id,
    /// The class's own name, without its module.
    pub(super) class: &'p str,
    /// Names from the root down, joined by dots.
    pub(super) path: String,
}

impl<'p> Module<'p> {
    pub(super) fn new(pickle: &'p Pickle<'p>, id: Id, path: String) -> Result<Self, ReadError> {
        let (Some(class), Some(record)) = (pickle.class(id), pickle.record(id)) else {
            return Err(damaged(format!("'{path}' is not a module")));
        };
        let Some(state) = record.state.filter(|&state| pickle.items(state).is_some()) else {
            return Err(damaged(format!("module '{path}' has no attributes")));
        };
        let module = Self {
            pickle,
            id,
            state,
            class: class.name,
            path,
        };
        for mapping in [
            Some(state),
            module.get("_modules"),
            module.get("_parameters"),
        ] {
            module.check_entries(mapping)?;
        }
        module.check_entries(module.get("_buffers"))?;
        Ok(module)
    }

    fn check_entries(&self, mapping: Option<Id>) -> Result<(), ReadError> {
        let entries = mapping
            .and_then(|mapping| self.pickle.items(mapping))
            .map_or(0, <[_]>::len);
        if entries <= MOST_ENTRIES {
            return Ok(());
        }
        Err(ReadError::Limit {
            what: format!(
                "the number of attributes or children of module '{}'",
                self.path
            ),
            actual: entries as u64,
            limit: MOST_ENTRIES as u64,
        })
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// The same module under another path, for one that is used several times.
    pub(super) fn renamed(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// An attribute's value, unless it is missing or `None`.
    pub(super) fn attribute(&self, name: &str) -> Option<Id> {
        self.get(name).filter(|&value| !self.pickle.is_none(value))
    }

    fn get(&self, name: &str) -> Option<Id> {
        self.pickle.get(self.state, name)
    }

    pub(super) fn bool(&self, name: &str, default: bool) -> Result<bool, ReadError> {
        self.attribute(name).map_or(Ok(default), |value| {
            self.pickle.bool(value).ok_or_else(|| self.wrong(name))
        })
    }

    pub(super) fn float(&self, name: &str, default: f64) -> Result<f64, ReadError> {
        self.attribute(name).map_or(Ok(default), |value| {
            self.pickle.float(value).ok_or_else(|| self.wrong(name))
        })
    }

    /// A natural number, or `None` where the attribute is missing.
    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, ReadError> {
        self.attribute(name)
            .map(|value| self.natural(name, value))
            .transpose()
    }

    /// A natural number that must be there.
    pub(super) fn required(&self, name: &str) -> Result<usize, ReadError> {
        self.count(name)?.ok_or_else(|| self.wrong(name))
    }

    /// Down and right; one number stands for both.
    pub(super) fn pair(&self, name: &str, default: usize) -> Result<[usize; 2], ReadError> {
        let Some(value) = self.attribute(name) else {
            return Ok([default; 2]);
        };
        match self.pickle.sequence(value) {
            Some(&[down, right]) => Ok([self.natural(name, down)?, self.natural(name, right)?]),
            Some(_) => Err(self.wrong(name)),
            None => self.natural(name, value).map(|both| [both; 2]),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'p str> {
        self.attribute(name)
            .and_then(|value| self.pickle.str(value))
    }

    /// No module has a window, stride or width beyond a million.
    fn natural(&self, name: &str, value: Id) -> Result<usize, ReadError> {
        let value = self
            .pickle
            .int(value)
            .filter(|value| (0..1 << 20).contains(value));
        value
            .map(|value| value as usize)
            .ok_or_else(|| self.wrong(name))
    }

    /// A parameter or buffer, unless it is missing or `None`.
    pub(super) fn tensor(&self, name: &str) -> Option<Id> {
        ["_parameters", "_buffers"].into_iter().find_map(|group| {
            let value = self.pickle.get(self.get(group)?, name)?;
            (!self.pickle.is_none(value)).then_some(value)
        })
    }

    pub(super) fn child(&self, name: &str) -> Result<Self, ReadError> {
        self.optional_child(name)?
            .ok_or_else(|| damaged(format!("module '{}' has no '{name}'", self.path)))
    }

    pub(super) fn optional_child(&self, name: &str) -> Result<Option<Self>, ReadError> {
        let modules = self.get("_modules");
        let child = modules.and_then(|modules| self.pickle.get(modules, name));
        child
            .filter(|&child| !self.pickle.is_none(child))
            .map(|child| Self::new(self.pickle, child, self.path_of(name)))
            .transpose()
    }

    /// Children in order, those that are `None` left out.
    pub(super) fn children(&self) -> Result<Vec<Self>, ReadError> {
        let modules = self
            .get("_modules")
            .and_then(|modules| self.pickle.items(modules));
        let children = modules.unwrap_or_default().iter();
        children
            .filter(|(_, child)| !self.pickle.is_none(*child))
            .map(|&(name, child)| {
                let name = self.pickle.str(name).unwrap_or("?");
                Self::new(self.pickle, child, self.path_of(name))
            })
            .collect()
    }

    fn path_of(&self, child: &str) -> String {
        match self.path.as_str() {
            "" => child.to_owned(),
            path => format!("{path}.{child}"),
        }
    }

    pub(super) fn wrong(&self, attribute: &str) -> ReadError {
        damaged(format!(
            "attribute '{attribute}' of {} '{}' is missing or wrong",
            self.class, self.path
        ))
    }

    pub(super) fn unsupported(&self, reason: impl std::fmt::Display) -> ReadError {
        unsupported(format!("{} '{}' {reason}", self.class, self.path))
    }
}
