//! Who waits for whom. A load that asks the cache for another key waits for that key's load; a load in a batch waits for
//! the batch. A join that would close a circle could never end, and is refused at once.

use super::ids::{FlightId, Node};

/// What a node waits for.
struct Waits {
    node: Node,
    on: Vec<Node>,
    /// The search that was here last.
    seen_by: u64,
}

/// The waits of nodes for nodes. Most loads ask for nothing, and have no entry.
#[derive(Default)]
pub(crate) struct WaitGraph {
    /// Of loads, by their flights' numbers.
    flights: Vec<Option<Waits>>,
    /// Of batches. Few wait at any time, so that a list serves.
    batches: Vec<Waits>,
    /// How many nodes wait.
    waiting: usize,
    last_search: u64,
}

impl WaitGraph {
    /// `asker` waits for `node`.
    pub fn add(&mut self, asker: Node, node: Node) {
        if let Some(waits) = self.waits(asker) {
            waits.on.push(node);
            return;
        }
        let waits = Waits { node: asker, on: vec![node], seen_by: 0 };
        self.waiting += 1;
        match asker {
            Node::Batch(_) => self.batches.push(waits),
            Node::Flight(flight) => {
                if self.flights.len() <= flight.index() {
                    self.flights.resize_with(flight.index() + 1, || None);
                }
                if let Some(place) = self.flights.get_mut(flight.index()) {
                    *place = Some(waits);
                }
            }
        }
    }

    /// One wait of `asker` for `node` is over.
    pub fn remove(&mut self, asker: Node, node: Node) {
        let Some(waits) = self.waits(asker) else { return };
        if let Some(at) = waits.on.iter().position(|other| *other == node) {
            let last = waits.on.pop();
            if let (Some(place), Some(last)) = (waits.on.get_mut(at), last) {
                *place = last;
            }
        }
        if waits.on.is_empty() {
            self.end(asker);
        }
    }

    /// The node has ended, and waits for nothing any more.
    #[inline]
    pub fn end(&mut self, node: Node) {
        if self.waiting > 0 {
            self.forget(node);
        }
    }

    fn forget(&mut self, node: Node) {
        if self.waits(node).is_none() {
            return;
        }
        self.waiting -= 1;
        match node {
            Node::Batch(_) => self.batches.retain(|waits| waits.node != node),
            Node::Flight(flight) => {
                if let Some(place) = self.flights.get_mut(flight.index()) {
                    *place = None;
                }
            }
        }
    }

    /// Whether `from` is `to`, or waits for it by way of others. O(waits of loads for loads).
    pub fn reaches(&mut self, from: Node, to: Node) -> bool {
        if from == to || self.waiting == 0 {
            return from == to;
        }
        self.last_search += 1;
        let search = self.last_search;
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            if node == to {
                return true;
            }
            if let Some(waits) = self.waits(node)
                && waits.seen_by != search
            {
                waits.seen_by = search;
                next.extend_from_slice(&waits.on);
            }
        }
        false
    }

    /// The batch that a load waits for: the last one, since it may have been tried in others before, which failed.
    pub fn batch_of(&mut self, flight: FlightId) -> Option<Node> {
        let last = self.waits(Node::Flight(flight))?.on.last().copied();
        last.filter(|node| matches!(node, Node::Batch(_)))
    }

    /// The loads that wait for a batch. O(loads).
    pub fn loads_in(&self, batch: Node) -> impl Iterator<Item = FlightId> {
        let waits = self.flights.iter().flatten().filter(move |waits| waits.on.contains(&batch));
        waits.filter_map(|waits| if let Node::Flight(id) = waits.node { Some(id) } else { None })
    }

    fn waits(&mut self, node: Node) -> Option<&mut Waits> {
        let waits = match node {
            Node::Batch(_) => self.batches.iter_mut().find(|waits| waits.node == node)?,
            Node::Flight(flight) => self.flights.get_mut(flight.index())?.as_mut()?,
        };
        // A flight's number may be another's by now.
        (waits.node == node).then_some(waits)
    }
}
