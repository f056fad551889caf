//! The order in which nodes can be imported: each after those whose results it reads.
//!
//! Files should list their nodes that way. Converters to half precision do not: they append the
//! node that every other one waits for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::proto;

/// Brings the nodes into an order in which each can be imported, and otherwise leaves theirs. Nodes
/// that wait for themselves, or for what nothing writes, keep their places at the end.
pub(super) fn sort(nodes: &mut Vec<proto::Node>) {
    let mut writers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            writers.entry(name).or_insert(index);
        }
    }
    let mut waits_for = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for name in &node.input {
            if let Some(&writer) = writers.get(name.as_str()) {
                waits_for[index] += 1;
                readers[writer].push(index);
            }
        }
    }
    // Of all that wait for none the first in the file goes first.
    let ready = (0..nodes.len()).filter(|&index| waits_for[index] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    order.extend((0..nodes.len()).filter(|&index| waits_for[index] > 0));
    if order.is_sorted() {
        return;
    }
    let mut unsorted: Vec<Option<proto::Node>> = nodes.drain(..).map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|index| unsorted[index].take()));
}
