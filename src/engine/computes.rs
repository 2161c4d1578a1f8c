//! Who computes, and waits to.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;

use super::gate::Gate;
use crate::core::{ComputeQueue, PartitionId};

/// Who computes, by key. A key that nobody computes is not there.
pub(super) type Computes<K> = HashMap<(PartitionId, K), Turns>;

#[derive(Default)]
pub(super) struct Turns {
    pub queue: ComputeQueue,
    /// Of those in the queue, as they asked.
    pub gates: VecDeque<(u32, Rc<Gate>)>,
}
