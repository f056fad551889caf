//! Values as Python would write them, for clients that read a model's description with
//! `ast.literal_eval`. Whatever a model file names its classes, what is written is one literal.

use std::fmt::Write;

/// A value that Python has a literal for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `True` or `False`.
    Truth(bool),
    /// A whole number.
    Number(u64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Literal>),
    /// A dictionary, in order.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The value in Python.
    pub fn python(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Truth(true) => text.push_str("True"),
            Self::Truth(false) => text.push_str("False"),
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

/// Letters, digits and plain signs as they are; everything else by its number.
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

    /// The string that Python reads off a literal in single quotes; `None` where it ends early.
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
        let text = |word: &str| Literal::Text(word.to_owned());
        let names = vec![
            (Literal::Number(0), text("traffic light")),
            (Literal::Number(1), text("l'\\n")),
            (Literal::Number(2), text("猫\n")),
        ];
        let dict = Literal::Dict(vec![
            (text("names"), Literal::Dict(names)),
            (
                text("imgsz"),
                Literal::List(vec![Literal::Number(640), Literal::Number(480)]),
            ),
            (text("end2end"), Literal::Truth(false)),
        ]);
        assert_eq!(
            dict.python(),
            r"{'names': {0: 'traffic light', 1: 'l\'\\n', 2: '\U0000732b\U0000000a'}, 'imgsz': [640, 480], 'end2end': False}"
        );
    }

    proptest! {
        #[test]
        fn any_word_comes_back_and_never_ends_its_literal(word in any::<String>()) {
            let literal = Literal::Text(word.clone()).python();
            prop_assert_eq!(read(&literal), Some(word));
        }
    }
}
