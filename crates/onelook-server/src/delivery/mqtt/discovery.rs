//! Counts as entities of Home Assistant, by its MQTT discovery: a device for each stream, on it two sensors
//! for each line and two for each zone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A retained message; an empty one takes an entity away.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
}

/// What was announced.
pub struct Discovery {
    /// Where Home Assistant looks.
    prefix: String,
    /// Where our topics begin.
    own: String,
    /// Topics by stream, and whether they were announced on this connection.
    announced: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Discovery {
    /// Nothing was announced yet.
    pub fn new(prefix: String, own: &str) -> Self {
        Self {
            prefix,
            own: own.to_owned(),
            announced: BTreeMap::new(),
        }
    }

    /// Has everything announced again on a new connection: the broker may have forgotten it.
    pub fn begin(&mut self) {
        let topics = self.announced.values_mut();
        topics
            .flat_map(BTreeMap::values_mut)
            .for_each(|is_told| *is_told = false);
    }

    /// What is to be said so that the entities of a stream are those of its lines and zones; none of a stream
    /// that is gone.
    pub fn update(&mut self, stream: &str, totals: Option<&Value>) -> Vec<Message> {
        let mut before = self.announced.remove(stream).unwrap_or_default();
        let (mut messages, mut wanted) = (Vec::new(), BTreeMap::new());
        for entity in totals.map(entities).unwrap_or_default() {
            let (node, component) = (self.node(stream), entity.component);
            let topic = format!("{}/{component}/{node}/{}/config", self.prefix, entity.id);
            if before.remove(&topic) != Some(true) {
                messages.push(Message {
                    topic: topic.clone(),
                    payload: self.describe(stream, &entity).to_string(),
                });
            }
            wanted.insert(topic, true);
        }
        messages.extend(before.into_keys().map(|topic| Message {
            topic,
            payload: String::new(),
        }));
        if !wanted.is_empty() {
            self.announced.insert(stream.to_owned(), wanted);
        }
        messages
    }

    fn node(&self, stream: &str) -> String {
        format!("{}_{stream}", self.own.replace('/', "_"))
    }

    fn describe(&self, stream: &str, entity: &Entity) -> Value {
        let node = self.node(stream);
        let mut description = json!({
            "name": entity.name,
            "unique_id": format!("{node}_{}", entity.id),
            "state_topic": format!("{}/{stream}/counts", self.own),
            "value_template": entity.template,
            "availability_topic": format!("{}/availability", self.own),
            "device": {
                "identifiers": [node],
                "name": format!("onelook {stream}"),
                "manufacturer": "onelook",
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": {"name": "onelook", "sw_version": env!("CARGO_PKG_VERSION")},
        });
        for (key, value) in &entity.class {
            description[key] = json!(value);
        }
        description
    }
}

struct Entity {
    component: &'static str,
    id: String,
    name: String,
    template: String,
    class: [(&'static str, &'static str); 1],
}

fn entities(totals: &Value) -> Vec<Entity> {
    let places = |kind: &str| totals[kind].as_object().cloned().unwrap_or_default();
    let mut entities = Vec::new();
    for (key, line) in places("lines") {
        let name = line["name"].as_str().unwrap_or(&key);
        for direction in ["in", "out"] {
            entities.push(Entity {
                component: "sensor",
                id: format!("{key}_{direction}"),
                name: format!("{name} {direction}"),
                template: format!("{{{{ value_json['lines']['{key}']['{direction}'] }}}}"),
                class: [("state_class", "total_increasing")],
            });
        }
    }
    for (key, zone) in places("zones") {
        let name = zone["name"].as_str().unwrap_or(&key);
        let inside = format!("value_json['zones']['{key}']['inside']");
        entities.push(Entity {
            component: "sensor",
            id: format!("{key}_inside"),
            name: format!("{name} inside"),
            template: format!("{{{{ {inside} }}}}"),
            class: [("state_class", "measurement")],
        });
        entities.push(Entity {
            component: "binary_sensor",
            id: format!("{key}_occupancy"),
            name: format!("{name} occupancy"),
            template: format!("{{{{ 'ON' if {inside} > 0 else 'OFF' }}}}"),
            class: [("device_class", "occupancy")],
        });
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_follow_lines_and_zones() {
        let mut discovery = Discovery::new("homeassistant".to_owned(), "a/b");
        let totals = json!({
            "lines": {"gate": {"name": "gate", "in": 0, "out": 0}},
            "zones": {"yard": {"name": "yard", "inside": 0}},
        });
        let messages = discovery.update("cam", Some(&totals));
        let topics: Vec<&str> = messages
            .iter()
            .map(|message| message.topic.as_str())
            .collect();
        assert_eq!(
            topics,
            [
                "homeassistant/sensor/a_b_cam/gate_in/config",
                "homeassistant/sensor/a_b_cam/gate_out/config",
                "homeassistant/sensor/a_b_cam/yard_inside/config",
                "homeassistant/binary_sensor/a_b_cam/yard_occupancy/config",
            ]
        );
        let said: Value = serde_json::from_str(&messages[0].payload).unwrap();
        assert_eq!(said["state_topic"], "a/b/cam/counts");
        assert_eq!(said["availability_topic"], "a/b/availability");
        assert_eq!(
            said["value_template"],
            "{{ value_json['lines']['gate']['in'] }}"
        );
        assert!(discovery.update("cam", Some(&totals)).is_empty());
        discovery.begin();
        assert_eq!(discovery.update("cam", Some(&totals)), messages);
        let fewer = json!({"lines": {}, "zones": {"yard": {"inside": 1}}});
        discovery.update("other", Some(&fewer));
        let messages = discovery.update("cam", Some(&fewer));
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|message| message.payload.is_empty()));
        // Also when it is gone while there is no connection.
        discovery.begin();
        let messages = discovery.update("cam", None);
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|message| message.payload.is_empty()));
        assert!(discovery.update("cam", None).is_empty());
    }
}
