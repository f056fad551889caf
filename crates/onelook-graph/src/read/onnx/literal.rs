//! Python literals, as exporters write names and sizes into metadata: text in, value out.
//! Only strings, numbers, words, lists, tuples and dicts; nothing is evaluated.

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// `True`, `False`, `None`.
    Word(String),
    /// A list or tuple.
    List(Vec<Literal>),
    /// A dict, in its order.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    pub(super) fn as_usize(&self) -> Option<usize> {
        match self {
            Self::Integer(value) => usize::try_from(*value).ok(),
            Self::Float(value) if value.fract() == 0.0 && (0.0..1e15).contains(value) => {
                Some(*value as usize)
            }
            _ => None,
        }
    }
}

/// The literal that `text` is, or `None` if it is anything else or nests deeper than `depth`.
pub(super) fn parse(text: &str, depth: usize) -> Option<Literal> {
    let mut parser = Parser { rest: text };
    let literal = parser.literal(depth)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, mark: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, depth: usize) -> Option<Literal> {
        let deeper = depth.checked_sub(1)?;
        self.skip_space();
        match self.rest.chars().next()? {
            '{' => self.dict(deeper),
            '[' => self.list('[', ']', deeper),
            '(' => self.list('(', ')', deeper),
            quote @ ('\'' | '"') => self.text(quote),
            _ => self.bare(),
        }
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Option<Literal> {
        self.accept(open);
        let mut items = Vec::new();
        while !self.accept(close) {
            items.push(self.literal(depth)?);
            if !self.accept(',') {
                return self.accept(close).then_some(Literal::List(items));
            }
        }
        Some(Literal::List(items))
    }

    fn dict(&mut self, depth: usize) -> Option<Literal> {
        self.accept('{');
        let mut items = Vec::new();
        while !self.accept('}') {
            let key = self.literal(depth)?;
            if !self.accept(':') {
                return None;
            }
            items.push((key, self.literal(depth)?));
            if !self.accept(',') {
                return self.accept('}').then_some(Literal::Dict(items));
            }
        }
        Some(Literal::Dict(items))
    }

    fn text(&mut self, quote: char) -> Option<Literal> {
        self.accept(quote);
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => text.push(escaped(&mut chars)?),
                _ if char == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(Literal::Text(text));
                }
                _ => text.push(char),
            }
        }
        None
    }

    fn bare(&mut self) -> Option<Literal> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || "+-._".contains(c)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" | "False" | "None" => Some(Literal::Word(word.to_owned())),
            _ => word
                .parse()
                .map(Literal::Integer)
                .ok()
                .or_else(|| word.parse().map(Literal::Float).ok()),
        }
    }
}

/// The character that an escape after a backslash stands for.
fn escaped(chars: &mut std::str::CharIndices) -> Option<char> {
    let digits = match chars.next()?.1 {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        other @ ('\\' | '\'' | '"') => return Some(other),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code = chars
        .by_ref()
        .take(digits)
        .try_fold(0, |code, (_, digit)| Some(code << 4 | digit.to_digit(16)?))?;
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_python_s_and_nothing_is_evaluated() {
        let depth = 5;
        let text = |text: &str| Some(Literal::Text(text.to_owned()));
        assert_eq!(parse("'a\\'b\\n'", depth), text("a'b\n"));
        assert_eq!(parse(r#" "\u00e4\U0001F600" "#, depth), text("ä😀"));
        assert_eq!(parse("-7", depth), Some(Literal::Integer(-7)));
        assert_eq!(parse("3.5", depth), Some(Literal::Float(3.5)));
        assert_eq!(
            parse("(1, )", depth),
            Some(Literal::List(vec![Literal::Integer(1)]))
        );
        assert_eq!(parse("{}", depth), Some(Literal::Dict(vec![])));
        let none = [
            "",
            "'",
            "'\\",
            "'\\x4'",
            "[1 2]",
            "{1}",
            "{1:}",
            "[1",
            "print(1)",
            "1 1",
            "[[[[[[1]]]]]]",
        ];
        for odd in none {
            assert_eq!(parse(odd, depth), None, "{odd}");
        }
        assert_eq!(parse(&"[".repeat(100_000), depth), None);
    }
}
