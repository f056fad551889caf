//! The operator's list of streams: a TOML file with a `[[streams]]` table for each.

use std::path::Path;

use serde::Deserialize;

use super::settings::StreamConfig;

/// More bytes than a list of streams has.
const MAX_BYTES: u64 = 1 << 20;

/// The streams of a file.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFile {
    /// In the order of the file.
    #[serde(default)]
    pub streams: Vec<StreamConfig>,
}

/// Reads a list.
///
/// # Errors
/// It cannot be read or used; the text names the file, and quotes no address.
pub fn read(path: &Path) -> Result<StreamFile, String> {
    let refused = |reason: String| format!("'{}': {reason}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?;
    if metadata.len() > MAX_BYTES {
        return Err(refused(format!("it has more than {MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    parse(&text).map_err(refused)
}

fn parse(text: &str) -> Result<StreamFile, String> {
    // The parser's own text would quote the line, which may hold a password.
    let file: StreamFile = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })?;
    let mut names = std::collections::BTreeSet::new();
    for config in &file.streams {
        config.check()?;
        if !names.insert(&config.name) {
            return Err(format!("two streams are called '{}'", config.name));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_lines_and_zones() {
        let file = parse(
            r#"
            [[streams]]
            name = "gate"
            url = "rtsp://me:s3cret@cam.lan/1"
            fps = 5
            lines = [{name = "entrance", start = [0.1, 0.5], end = [0.9, 0.5]}]

            [[streams]]
            name = "yard"
            url = "0"
            [[streams.zones]]
            name = "queue"
            corners = [[0, 0], [1, 0], [1, 1]]
            crowd = 3
            "#,
        );
        let streams = file.map_err(|reason| panic!("{reason}")).unwrap().streams;
        assert_eq!(streams.len(), 2);
        assert_eq!(streams[0].lines[0].name, "entrance");
        assert_eq!(streams[1].zones[0].crowd, Some(3));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line_and_without_the_password() {
        let gate = "[[streams]]\nname = \"gate\"\nurl = \"rtsp://me:s3cret@cam.lan/1\"";
        for (text, word) in [
            (format!("{gate}\nspeed = 1\n"), "speed"),
            (format!("{gate} x\n"), "line 3"),
            (format!("{gate}\nfps = -1\n"), "fps"),
            (format!("{gate}\n{gate}\n"), "'gate'"),
            ("[[streams]]\nname = \"a\"\n".to_owned(), "url"),
            ("[[cameras]]\n".to_owned(), "cameras"),
        ] {
            let said = parse(&text).map(drop).unwrap_err();
            assert!(said.contains(word), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        assert!(parse("").is_ok());
    }
}
