//! Who waits for whom, as the model knows it, and batches that loads wait for.

use super::*;

impl Sim {
    /// Whether the load of the key that is asked for waits for the asker, by way of others, so that it may not be joined.
    pub(super) fn closes_circle(&self, attached: Option<FlightId>, asker: Option<Node>) -> bool {
        let (Some(attached), Some(asker)) = (attached, asker) else { return false };
        let (mut next, mut seen) = (vec![Node::Flight(attached)], Vec::new());
        while let Some(node) = next.pop() {
            if !self.is_under_way(node) || seen.contains(&node) {
                continue;
            }
            if node == asker {
                return true;
            }
            seen.push(node);
            let waiters = self.waiters.iter().filter(|waiter| !waiter.ended && waiter.asker == Some(node));
            next.extend(waiters.map(|waiter| Node::Flight(waiter.wait.flight)));
            let holds = |batch: &&Batch| batch.loads.iter().any(|load| Node::Flight(*load) == node);
            next.extend(self.batches.iter().filter(holds).map(|batch| Node::Batch(batch.id)));
        }
        false
    }

    pub(super) fn is_under_way(&self, node: Node) -> bool {
        match node {
            Node::Flight(flight) => self.loads.iter().any(|load| load.flight == flight && !load.ended),
            Node::Batch(id) => self.batches.iter().any(|batch| batch.id == id),
        }
    }

    /// A wait is over by the driver's doing.
    pub(super) fn waits_no_more(&mut self, waiter: usize) {
        let waiter = &mut self.waiters[waiter];
        waiter.ended = true;
        self.machine.waits_no_more(waiter.asker, waiter.wait.flight);
    }

    /// A wait has ended with its load. One driver says so, the other does not.
    pub(super) fn ends_with_load(&mut self, waiter: usize) {
        match self.random.one_in(2) {
            true => self.waits_no_more(waiter),
            false => self.waiters[waiter].ended = true,
        }
    }

    pub(super) fn join_batch(&mut self, flight: FlightId) {
        let last = self.batches.last().map(|batch| batch.id);
        let limits = BatchLimits { max_size: 3, window: None };
        let join = JoinBatch { last, has: false, load: Some(flight), limits, now: self.at() };
        let joined = self.machine.join_batch(&join);
        if joined.is_new {
            self.batches.push(Batch { id: joined.batch, loads: Vec::new(), is_open: true });
        }
        let batch = self.batches.last_mut().expect("it was joined");
        assert!(batch.id == joined.batch && batch.is_open, "joined one that takes no keys, step {}", self.step);
        batch.loads.push(flight);
        batch.is_open = joined.goes != Goes::Now;
    }

    /// A batch is called, or ends: its loads may end later.
    pub(super) fn go_on(&mut self, at: usize) {
        let Batch { id, is_open, .. } = self.batches[at];
        if is_open {
            self.batches[at].is_open = false;
            self.machine.close_batch(id);
        } else {
            self.batches.remove(at);
            self.machine.batch_ended(id);
        }
    }
}
