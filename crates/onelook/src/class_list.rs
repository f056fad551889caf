//! Classes as people write them: numbers or names in, a model's indices out.

use std::str::FromStr;

/// Most letters of a wrong name that are shown.
const SHOWN: usize = 80;

/// Classes by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassList(Vec<ClassWord>);

/// A class by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassWord {
    /// By number.
    Index(usize),
    /// By name.
    Name(String),
}

impl ClassList {
    /// Their indices among a model's names, in any case.
    ///
    /// # Errors
    /// The model does not know one of them; the text says which.
    pub fn indices(&self, names: &[String]) -> Result<Vec<usize>, String> {
        self.0.iter().map(|word| word.index(names)).collect()
    }
}

impl FromIterator<ClassWord> for ClassList {
    fn from_iter<I: IntoIterator<Item = ClassWord>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

/// `0`, `0,2`, `[0,2]` or names such as `person,bus`; what looks like a number is one.
impl FromStr for ClassList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Self = text
            .trim()
            .trim_start_matches(['[', '('])
            .trim_end_matches([']', ')'])
            .split(',')
            .map(|word| word.trim().trim_matches(['\'', '"']))
            .filter(|word| !word.is_empty())
            .map(|word| match word.parse() {
                Ok(index) => ClassWord::Index(index),
                Err(_) => ClassWord::Name(word.to_owned()),
            })
            .collect();
        match words.0.is_empty() {
            true => Err("expected class numbers or names, such as 0,2 or person,bus".to_owned()),
            false => Ok(words),
        }
    }
}

impl ClassWord {
    fn index(&self, names: &[String]) -> Result<usize, String> {
        match self {
            Self::Index(index) if *index < names.len() => Ok(*index),
            Self::Index(index) => Err(format!(
                "the model knows classes 0 to {}, not {index}",
                names.len().max(1) - 1
            )),
            Self::Name(word) => names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(word))
                .ok_or_else(|| {
                    let shown: String = word.chars().take(SHOWN).collect();
                    format!("the model knows no class {shown:?}")
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbers_or_names() {
        let names = ["person".to_owned(), "bus".to_owned()];
        let indices = |text: &str| -> Result<Vec<usize>, String> {
            text.parse::<ClassList>()?.indices(&names)
        };
        assert_eq!(indices("0"), Ok(vec![0]));
        assert_eq!(indices("[0, 1]"), Ok(vec![0, 1]));
        assert_eq!(indices("Bus,person"), Ok(vec![1, 0]));
        assert_eq!(indices("['bus']"), Ok(vec![1]));
        let wrong = |text: &str| indices(text).unwrap_err();
        assert_eq!(wrong("2"), "the model knows classes 0 to 1, not 2");
        assert_eq!(wrong("cat"), "the model knows no class \"cat\"");
        assert!(wrong("[]").contains("such as 0,2"));
    }
}
