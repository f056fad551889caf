//! An event as brokers get it: the JSON of the webhook, with an id that no other event has.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::spool::Waiting;

/// Names in topics that are too long for brokers are cut.
const MAX_NAME: usize = 128;

#[derive(Deserialize)]
struct Members {
    stream: Option<String>,
}

/// The event's stream, or `default`, as a level of a topic.
pub fn stream_of(event: &Waiting) -> String {
    let members = serde_json::from_slice::<Members>(&event.line).ok();
    let stream = members.and_then(|members| members.stream);
    topic_level(stream.as_deref().unwrap_or_default())
}

/// The event with the member `event_id`, which is the same each time that it is sent.
pub fn with_id(event: &Waiting) -> Vec<u8> {
    let id = format!("{{\"event_id\":\"{}\"", event.id);
    match event.line.strip_prefix(b"{") {
        Some(b"}") => [id.as_bytes(), b"}"].concat(),
        Some(members) => [id.as_bytes(), b",", members].concat(),
        // No event is like this, but the spool takes any line.
        None => event.line.clone(),
    }
}

/// A name as one level of a topic in every broker: letters, digits, `-` and `_`; other characters become
/// `_`. What is changed or cut ends in `-` and eight digits of the name's SHA-256, so that it is no other
/// name's.
pub fn topic_level(name: &str) -> String {
    let allowed = |char: char| match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => char,
        _ => '_',
    };
    if name.is_empty() {
        return "default".to_owned();
    }
    let mut level: String = name.chars().take(MAX_NAME).map(allowed).collect();
    if level != name {
        let hash = Sha256::digest(name.as_bytes());
        level.truncate(MAX_NAME - 9);
        level.push('-');
        for byte in &hash[..4] {
            level.push_str(&format!("{byte:02x}"));
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_is_added_and_names_fit_into_topics() {
        let event = |line: &str| Waiting::test("msg_a-1-0", line);
        let whole = with_id(&event(r#"{"stream":"gate"}"#));
        assert_eq!(whole, br#"{"event_id":"msg_a-1-0","stream":"gate"}"#);
        assert_eq!(with_id(&event("{}")), br#"{"event_id":"msg_a-1-0"}"#);
        assert_eq!(with_id(&event("7")), b"7");
        assert_eq!(stream_of(&event(r#"{"stream":"gate"}"#)), "gate");
        assert_eq!(stream_of(&event("7")), "default");
        assert_eq!(topic_level("a_b-1"), "a_b-1");
        assert_eq!(topic_level("a/b.c+#ü 1"), "a_b_c____1-e048d8e1");
    }

    #[test]
    fn no_two_names_have_one_topic() {
        let long = "x".repeat(MAX_NAME);
        let longer = [long.clone() + "1", long.clone() + "2"];
        let names = ["a.b", "a_b", "a b", "ä.b", &long, &longer[0], &longer[1]];
        let topics: BTreeSet<String> = names.into_iter().map(topic_level).collect();
        assert_eq!(topics.len(), names.len());
        assert!(topics.iter().all(|topic| topic.len() <= MAX_NAME));
        assert!(topics.contains(&long) && topics.contains("a_b"));
    }
}
