//! The comparison as one page that needs nothing else: images are embedded.

use onelook::Tolerance;
use onelook::media::encode_jpeg;
use onelook::types::{Frame, Instances};
use onelook::vision::draw::{DrawStyle, draw};

use super::compared::{Compared, Shown};
use super::report::{sentence, total, worst_raw};
use crate::failure::Failure;

const STYLE: &str = "body{font:15px/1.5 sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ccc;text-align:left}\
.no{color:#b00;font-weight:bold}.pair{display:flex;gap:1rem}.pair figure{margin:0;flex:1}\
.pair img{width:100%}";

/// The page as text.
pub fn page(
    compared: &[Compared],
    shown: &[Shown],
    routes: &[String; 2],
    tolerance: &Tolerance,
    names: &[String],
) -> Result<String, Failure> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>onelook verify</title>\
         <style>{STYLE}</style><h1>Two routes, {} images</h1>\
         <p>First: {}<br>Second: {}<br>Tolerance: {} px, {} score</p><p>{}</p>",
        compared.len(),
        escaped(&routes[0]),
        escaped(&routes[1]),
        tolerance.pixels,
        tolerance.score,
        sentence(&total(compared)),
    );
    if let Some(error) = worst_raw(compared) {
        page += &format!("<p>Raw tensors: largest relative error {error:.2e}</p>");
    }
    page += "<h2>Images that differ most</h2>";
    for one in shown {
        page += &format!("<h3>{}</h3><div class=\"pair\">", escaped(&one.name));
        for (title, found) in ["first", "second"].iter().zip(&one.routes) {
            let image = embedded(&one.frame, found, names)?;
            page +=
                &format!("<figure><img src=\"{image}\"><figcaption>{title}</figcaption></figure>");
        }
        page += "</div>";
    }
    page += "<h2>All images</h2><table><tr><th>image<th>verdict<th>differences<th>raw error";
    for one in compared {
        let (class, verdict) = match one.parity.holds(tolerance) {
            true => ("yes", "same"),
            false => ("no", "differs"),
        };
        let raw = one
            .raw
            .map_or_else(|| "–".to_owned(), |error| format!("{error:.2e}"));
        page += &format!(
            "<tr><td>{}<td class=\"{class}\">{verdict}<td>{}<td>{raw}",
            escaped(&one.name),
            sentence(&one.parity)
        );
    }
    page += "</table></html>\n";
    Ok(page)
}

fn embedded(frame: &Frame, found: &Instances, names: &[String]) -> Result<String, Failure> {
    let mut frame = frame.clone();
    draw(&mut frame, found, names, &DrawStyle::default());
    let bytes = encode_jpeg(&frame, 85).map_err(onelook::Error::from)?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&bytes)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_letters_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (bytes, letters) in cases {
            assert_eq!(base64(bytes.as_bytes()), letters);
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(
            escaped("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
