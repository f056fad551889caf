//! Addresses as they may be shown: without user names, passwords and tokens.

/// What stands where something was taken out.
const HIDDEN: &str = "***";

/// Query keys of cameras whose values tell nothing but which of its streams is meant.
const HARMLESS_KEYS: [&str; 16] = [
    "ch",
    "channel",
    "subtype",
    "stream",
    "streamtype",
    "profile",
    "camera",
    "cam",
    "codec",
    "resolution",
    "width",
    "height",
    "fps",
    "quality",
    "unicast",
    "proto",
];

/// Takes what is secret of one address out of what programs say about it.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// What to look for, the longest first, and what to say instead.
    known: Vec<(String, String)>,
}

impl Redactor {
    /// For what is said about `url`, in whatever piece of it.
    pub(super) fn new(url: &str) -> Self {
        let mut known = vec![(url.to_owned(), redact_url(url))];
        let after = url.split_once("://").map_or(url, |(_, after)| after);
        if let Some((user, _)) = after.rsplit_once('@') {
            known.push((user.to_owned(), HIDDEN.to_owned()));
            let password = user.split_once(':').map_or("", |(_, password)| password);
            // Shorter ones would take letters out of every word.
            if password.len() >= 4 {
                known.push((password.to_owned(), HIDDEN.to_owned()));
            }
        }
        Self { known }
    }

    /// `text` without what is secret.
    pub(super) fn redact(&self, text: &str) -> String {
        let known = self.known.iter();
        let text = known.fold(text.to_owned(), |text, (secret, instead)| {
            text.replace(secret, instead)
        });
        redact(&text)
    }
}

/// One address made harmless, whatever letters are in its password.
pub(super) fn redact_url(url: &str) -> String {
    let (scheme, address) = url.split_once("://").unwrap_or(("", url));
    let mut out = format!("{scheme}://");
    redact_address(address, &mut out);
    out
}

/// `text` with every address in it made harmless.
fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("://") {
        let (before, after) = rest.split_at(place + 3);
        out += before;
        let end = after.find(is_end).unwrap_or(after.len());
        redact_address(&after[..end], &mut out);
        rest = &after[end..];
    }
    out + rest
}

/// What ends an address within a sentence.
fn is_end(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || "'\"<>`".contains(letter)
}

/// Appends what follows `://`. A password may hold any letter, so the last `@` before the path counts, or,
/// where there is none, the last of all.
fn redact_address(address: &str, out: &mut String) {
    let (address, query) = match address.split_once('?') {
        Some((address, query)) if !query.contains('@') => (address, Some(query)),
        _ => (address, None),
    };
    match address.rsplit_once('@') {
        Some((_, host)) => {
            *out += HIDDEN;
            out.push('@');
            *out += host;
        }
        None => *out += address,
    }
    let Some(query) = query else { return };
    for (index, part) in query.split('&').enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        match part.split_once('=') {
            Some((key, value)) => {
                let is_harmless = HARMLESS_KEYS.contains(&key.to_ascii_lowercase().as_str());
                *out += key;
                out.push('=');
                *out += if is_harmless { value } else { HIDDEN };
            }
            None => *out += HIDDEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_taken_out_and_the_rest_stays() {
        for (text, expected) in [
            ("rtsp://host:554/cam0", "rtsp://host:554/cam0"),
            ("rtsp://u:p@host/a", "rtsp://***@host/a"),
            ("rtsp://u:p/@:?w@host/a", "rtsp://***@host/a"),
            ("rtsp://token@host/a", "rtsp://***@host/a"),
            (
                "https://h/a.m3u8?channel=1&Token=abc&x",
                "https://h/a.m3u8?channel=1&Token=***&***",
            ),
            (
                "[rtsp @ 0x1] 'rtsp://u:p@h/a': 401, see http://v:q@g.",
                "[rtsp @ 0x1] 'rtsp://***@h/a': 401, see http://***@g.",
            ),
            ("rtsp://u:p@h/?a=b&pw=c@d", "rtsp://***@d"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn a_password_with_quotes_is_known_in_every_piece() {
        let redactor = Redactor::new("rtsp://me:it's \"5@host/a");
        let said = "'rtsp://me:it's \"5@host/a': no; it's \"5 and me:it's \"5@x";
        assert_eq!(
            redactor.redact(said),
            "'rtsp://***@host/a': no; *** and ***@x"
        );
    }
}
