//! Names from files and addresses, made fit for a terminal: no control character of a file name or
//! of a class name may steer it, break a line or turn the direction of the text.

use std::borrow::Cow;
use std::path::Path;

/// The text with control characters and those that change its direction written as escapes, such as
/// `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |letter| letter.is_control() || turns_text(letter))
}

/// As [`printable`], for text of several lines: its line feeds stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |letter| {
        letter != '\n' && (letter.is_control() || turns_text(letter))
    })
}

/// A path as [`printable`] text.
pub fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn escape(text: &str, wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match wanted(letter) {
            true => escaped.extend(letter.escape_default()),
            false => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}

/// The characters of Unicode that embed, override or isolate a direction.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_letters_of_all_languages_stay() {
        assert_eq!(
            printable("a\x1b[2J\n\u{202e}.jpg"),
            r"a\u{1b}[2J\n\u{202e}.jpg"
        );
        assert_eq!(printable("\u{9b}31m\r\t"), r"\u{9b}31m\r\t");
        assert!(matches!(printable("猫 été \\ 'x'.jpg"), Cow::Borrowed(_)));
        assert_eq!(printable_lines("a\x07\nb"), "a\\u{7}\nb");
    }
}
