//! Python literals, for clients that read a model's description with `ast.literal_eval`. Whatever
//! names a model file gives its classes, the text is exactly one literal.

use std::fmt::Write;

/// A value that has a Python literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PythonLiteral {
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Number(u64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<PythonLiteral>),
    /// A dictionary, in order.
    Dict(Vec<(PythonLiteral, PythonLiteral)>),
}

impl PythonLiteral {
    /// The value as Python source.
    pub fn python(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Bool(true) => text.push_str("True"),
            Self::Bool(false) => text.push_str("False"),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::Text(word) => quote(word, text),
            Self::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    separate(index, text);
                    item.write(text);
                }
                text.push(']');
            }
            Self::Dict(entries) => {
                text.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    separate(index, text);
                    key.write(text);
                    text.push_str(": ");
                    value.write(text);
                }
                text.push('}');
            }
        }
    }
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push_str(", ");
    }
}

/// Printable ASCII as it is; every other character by its code point.
fn quote(word: &str, text: &mut String) {
    text.push('\'');
    for letter in word.chars() {
        match letter {
            '\\' | '\'' => text.extend(['\\', letter]),
            ' '..='~' => text.push(letter),
            // Writing to a string does not fail.
            _ => drop(write!(text, "\\U{:08x}", u32::from(letter))),
        }
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The string that Python reads from a literal in single quotes; `None` if it is not exactly one.
    fn read(literal: &str) -> Option<String> {
        let mut letters = literal.strip_prefix('\'')?.chars();
        let mut word = String::new();
        loop {
            match letters.next()? {
                '\'' => return letters.next().is_none().then_some(word),
                '\\' => match letters.next()? {
                    'U' => {
                        let digits: String = letters.by_ref().take(8).collect();
                        let number = u32::from_str_radix(&digits, 16).ok()?;
                        word.push(char::from_u32(number)?);
                    }
                    letter => word.push(letter),
                },
                letter if letter.is_ascii() && !letter.is_ascii_control() => word.push(letter),
                _ => return None,
            }
        }
    }

    #[test]
    fn a_dictionary_is_written_as_python_does() {
        let text = |word: &str| PythonLiteral::Text(word.to_owned());
        let names = vec![
            (PythonLiteral::Number(0), text("traffic light")),
            (PythonLiteral::Number(1), text("l'\\n")),
            (PythonLiteral::Number(2), text("猫\n")),
        ];
        let dict = PythonLiteral::Dict(vec![
            (text("names"), PythonLiteral::Dict(names)),
            (
                text("imgsz"),
                PythonLiteral::List(vec![PythonLiteral::Number(640), PythonLiteral::Number(480)]),
            ),
            (text("end2end"), PythonLiteral::Bool(false)),
        ]);
        assert_eq!(
            dict.python(),
            r"{'names': {0: 'traffic light', 1: 'l\'\\n', 2: '\U0000732b\U0000000a'}, 'imgsz': [640, 480], 'end2end': False}"
        );
    }

    proptest! {
        #[test]
        fn any_text_round_trips_and_never_ends_its_literal(word in any::<String>()) {
            let literal = PythonLiteral::Text(word.clone()).python();
            prop_assert_eq!(read(&literal), Some(word));
        }
    }
}
