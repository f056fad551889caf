//! Names of files that a run writes, from names of images and of classes: none leads out of its directory.

use std::path::Path;

/// The name of an image without directory and ending; `-` is `stdin`.
pub fn stem(source: &str) -> String {
    let name = match source.contains("://") {
        true => source.split(['?', '#']).next().unwrap_or(source),
        false => source,
    };
    let stem = Path::new(name).file_stem().unwrap_or_default();
    match stem.to_string_lossy().as_ref() {
        // What is secret of an address.
        "" | "***" => "image".to_owned(),
        "-" => "stdin".to_owned(),
        stem => stem.to_owned(),
    }
}

/// A class name that is safe as the name of a directory.
pub fn safe(name: &str) -> String {
    let safe = |letter: char| letter.is_alphanumeric() || " -_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if safe(letter) { letter } else { '_' })
        .collect();
    match name.trim_matches('.') {
        "" => "_".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_the_directory() {
        assert_eq!(safe("../../etc"), "_.._etc");
        assert_eq!(safe("traffic light"), "traffic light");
        assert_eq!(safe(".."), "_");
        assert_eq!(stem("/a/b.c/bus.jpg"), "bus");
        assert_eq!(stem("http://host/x/bus.jpg?size=2"), "bus");
        assert_eq!(stem("-"), "stdin");
    }
}
