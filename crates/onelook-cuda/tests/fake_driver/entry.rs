//! The parameters of a kernel, read from its PTX.

/// Ahead of a text that was compiled.
pub const COMPILED: &str = "machine code of\n";

/// A kernel's entry.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    /// The module's text.
    pub text: String,
    /// Bytes of each parameter.
    pub sizes: Vec<usize>,
}

impl Entry {
    /// The first entry of a module.
    pub fn parse(ptx: &str) -> Option<Self> {
        let (_, rest) = ptx.split_once(".entry")?;
        let (name, rest) = rest.split_once('(')?;
        let (parameters, _) = rest.split_once(')')?;
        let size = |text: &str| match text {
            text if text.contains(".u64") => Some(8),
            text if text.contains(".u32") => Some(4),
            text if text.contains("[128]") => Some(128),
            _ => None,
        };
        let texts = parameters.split(',').filter(|text| !text.trim().is_empty());
        Some(Self {
            name: name.trim().to_owned(),
            text: ptx.strip_prefix(COMPILED).unwrap_or(ptx).to_owned(),
            sizes: texts.map(size).collect::<Option<_>>()?,
        })
    }
}
