//! Who waits for whom. A load that asks the cache for another key waits for that key's load; a load in a batch waits for
//! the batch. A join that would close a circle could never end, and is refused at once.

use hashbrown::{HashMap, HashSet};

use super::loads::FlightId;

/// Something that runs a user's code and may wait for loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// The load of one key.
    Flight(FlightId),
    /// The load of many keys, by a number that is never reused.
    Batch(u64),
}

/// The waits of nodes for nodes. Most loads ask for nothing, and have no entry.
#[derive(Default)]
pub(crate) struct WaitGraph {
    edges: HashMap<Node, Vec<Node>>,
    batches: u64,
}

impl WaitGraph {
    /// A name for a batch that begins.
    pub fn new_batch(&mut self) -> Node {
        self.batches += 1;
        Node::Batch(self.batches)
    }

    /// `asker` waits for `node`.
    pub fn add(&mut self, asker: Node, node: Node) {
        self.edges.entry(asker).or_default().push(node);
    }

    /// One wait of `asker` for `node` is over.
    pub fn remove(&mut self, asker: Node, node: Node) {
        if let Some(nodes) = self.edges.get_mut(&asker) {
            if let Some(at) = nodes.iter().position(|other| *other == node) {
                nodes.swap_remove(at);
            }
            if nodes.is_empty() {
                self.edges.remove(&asker);
            }
        }
    }

    /// The node has ended, and waits for nothing any more.
    #[inline]
    pub fn end(&mut self, node: Node) {
        if !self.edges.is_empty() {
            self.edges.remove(&node);
        }
    }

    /// Whether `from` is `to`, or waits for it by way of others. O(waits of loads for loads).
    pub fn reaches(&self, from: Node, to: Node) -> bool {
        if from == to {
            return true;
        }
        if self.edges.is_empty() {
            return false;
        }
        let (mut seen, mut next) = (HashSet::new(), vec![from]);
        while let Some(node) = next.pop() {
            if node == to {
                return true;
            }
            if seen.insert(node) {
                next.extend(self.edges.get(&node).into_iter().flatten());
            }
        }
        false
    }
}
