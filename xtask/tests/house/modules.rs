//! A crate's modules as its files declare them: which items each names, and which paths each uses.
//!
//! Comes in: the root file. Tests (`#[cfg(test)]`) are left out: what they use says nothing of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// A module's name from the crate's root on: `["command", "predict"]`.
pub type Name = Vec<String>;

/// One module.
#[derive(Default)]
pub struct Module {
    /// Names that `use` brings in, with what they stand for.
    imports: BTreeMap<String, Name>,
    /// Modules of which everything is brought in.
    globs: Vec<Name>,
    /// Paths that its code names, besides `use`.
    paths: BTreeSet<Name>,
    children: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// All modules of a crate.
#[derive(Default)]
pub struct Modules {
    /// By name; the root's is empty.
    pub all: BTreeMap<Name, Module>,
}

/// An item that one module uses of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The module that uses it.
    pub from: Name,
    /// The module that has it.
    pub to: Name,
    /// As it is written.
    pub path: String,
    /// Whether it is a function.
    pub function: bool,
}

impl Modules {
    /// Reads the root file and every file that it declares.
    pub fn read(root: &Path) -> Self {
        let mut modules = Self::default();
        let folder = root.parent().expect("a file lies in a folder");
        modules.read_file(Name::new(), root, folder);
        modules
    }

    fn read_file(&mut self, name: Name, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.read_items(name, file, folder, &syntax.items);
    }

    fn read_items(&mut self, name: Name, file: &Path, folder: &Path, items: &[Item]) {
        let mut module = Module::default();
        for item in items {
            match item {
                Item::Mod(child) if is_test(&child.attrs) => {}
                Item::Mod(child) => {
                    module.children.insert(child.ident.to_string());
                    self.read_child(&name, file, folder, child);
                }
                other => module.visit_item(other),
            }
        }
        self.all.insert(name, module);
    }

    fn read_child(&mut self, parent: &Name, file: &Path, folder: &Path, child: &ItemMod) {
        let word = child.ident.to_string();
        let below = folder.join(&word);
        let mut name = parent.clone();
        name.push(word.clone());
        match &child.content {
            Some((_, items)) => self.read_items(name, file, &below, items),
            None => self.read_file(name, &folder.join(format!("{word}.rs")), &below),
        }
    }

    /// What each module uses of the others, each pair of modules and item once.
    pub fn uses(&self) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for (name, module) in &self.all {
            for path in module
                .imports
                .values()
                .chain(&module.globs)
                .chain(&module.paths)
            {
                let Some((to, function)) = self.resolve(name, path, 8) else {
                    continue;
                };
                if to != *name {
                    uses.insert(Use {
                        from: name.clone(),
                        to,
                        path: path.join("::"),
                        function,
                    });
                }
            }
        }
        uses
    }

    /// The module where what `path` names is written, and whether it is a function; nothing for other crates.
    fn resolve(&self, from: &Name, path: &[String], depth: u32) -> Option<(Name, bool)> {
        let (first, mut rest) = path.split_first()?;
        let depth = depth.checked_sub(1)?;
        let mut at = from.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            word if self.all[from].children.contains(word) => at.push(first.clone()),
            word => {
                let target = self.all[from].imports.get(word)?;
                if target.as_slice() == [first.clone()] || target.as_slice() == path {
                    return None;
                }
                let target: Name = target.iter().chain(rest).cloned().collect();
                return self.resolve(from, &target, depth);
            }
        }
        while let Some((word, after)) = rest.split_first() {
            let module = &self.all[&at];
            if word == "super" {
                at.pop();
            } else if module.children.contains(word) {
                at.push(word.clone());
            } else if let Some(target) = module.imports.get(word) {
                let target: Name = target.iter().chain(after).cloned().collect();
                return self.resolve(&at, &target, depth);
            } else {
                return Some((at.clone(), module.functions.contains(word)));
            }
            rest = after;
        }
        Some((at, false))
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        list.path.is_ident("cfg") && list.tokens.to_string().starts_with("test")
    })
}

impl Module {
    fn import(&mut self, mut path: Name, tree: &UseTree) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.import(path, &part.tree);
            }
            UseTree::Name(leaf) if leaf.ident == "self" => {
                if let Some(last) = path.last().cloned() {
                    self.imports.insert(last, path);
                }
            }
            UseTree::Name(leaf) => {
                path.push(leaf.ident.to_string());
                self.imports.insert(leaf.ident.to_string(), path);
            }
            UseTree::Rename(leaf) => {
                if leaf.ident != "self" {
                    path.push(leaf.ident.to_string());
                }
                let name = if leaf.rename == "_" {
                    path.join("::")
                } else {
                    leaf.rename.to_string()
                };
                self.imports.insert(name, path);
            }
            UseTree::Glob(_) => self.globs.push(path),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.import(path.clone(), tree)),
        }
    }

    /// Paths within a macro's arguments, which are no syntax yet.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path = Name::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 => path.push(word.to_string()),
                TokenTree::Ident(word) => {
                    self.note(std::mem::replace(&mut path, vec![word.to_string()]));
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                _ => self.note(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.note(path);
    }

    fn note(&mut self, path: Name) {
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Fn(function) = item {
            if is_test(&function.attrs) {
                return;
            }
            self.functions.insert(function.sig.ident.to_string());
        }
        if let Item::Impl(block) = item
            && is_test(&block.attrs)
        {
            return;
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.import(Name::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(
            path.segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect(),
        );
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
    }
}
