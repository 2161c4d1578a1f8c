//! Which loads begin at once, and which wait for their turn, where an origin bears only so many at once or in a second.
//! Who has a place among those under way keeps it until its end; each beginning takes a token, which comes back later.

use super::Machine;
use super::ask::Ask;
use super::ids::{FlightId, Node};
use super::loads::Turn;
use super::slab::Slot;
use crate::options::{LoadLimits, Priority};
use crate::time::{Timestamp, Ttl};

/// A load that may begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Of one key; where the last good value is, if there is one.
    Load(FlightId, Option<Slot>),
    /// The call of a batch.
    Call(Node),
}

/// It does not wait for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotQueued;

/// Whether a batch may make its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTurn {
    /// Now.
    Now,
    /// When [`poll_start`](Machine::poll_start) says so.
    Later,
    /// Not at all: too many wait already.
    Refused,
}

struct Waiting {
    node: Node,
    since: Timestamp,
}

/// The loads that have a place, and those that wait for one.
pub(crate) struct LoadQueue {
    limits: LoadLimits,
    running: u32,
    /// When the tokens come back that were taken last, in this order.
    taken: Vec<Timestamp>,
    /// In the order in which they begin: first those that somebody waits for, and each line as it came. Few enough that a
    /// list serves.
    waiting: Vec<Waiting>,
    /// How many of them somebody waits for.
    needed: usize,
    /// Batches whose call has a place.
    calls: Vec<Node>,
    /// Those who begin without a place, since one who has a place waits for them.
    excused: Vec<Node>,
    /// Since the last look something may have become free.
    pub stirred: bool,
    /// Before this moment none of those under way can have vanished without a word.
    reclaim_at: Timestamp,
}

impl LoadQueue {
    fn new(limits: LoadLimits) -> Self {
        Self {
            limits,
            running: 0,
            taken: Vec::new(),
            waiting: Vec::new(),
            needed: 0,
            calls: Vec::new(),
            excused: Vec::new(),
            stirred: false,
            reclaim_at: Timestamp::NEVER,
        }
    }

    fn is_full(&self) -> bool {
        self.running >= self.limits.max_concurrent
    }

    /// When a token is there, which may have been long ago.
    fn token_at(&self) -> Timestamp {
        let over = self.taken.len().checked_sub(self.limits.tokens());
        over.and_then(|over| self.taken.get(over)).copied().unwrap_or_default()
    }

    fn has_room(&self, now: Timestamp) -> bool {
        !self.is_full() && self.token_at() <= now
    }

    /// Takes a token, be there one or not.
    fn spend(&mut self, now: Timestamp) {
        if !self.limits.is_rated() {
            return;
        }
        let tokens = self.limits.tokens();
        if self.taken.len() >= 2 * tokens {
            self.taken.drain(..tokens.min(self.taken.len()));
        }
        let back = now.after(Ttl::Millis(self.limits.token_back()));
        // A clock that was set back a little puts none before another.
        self.taken.push(self.taken.last().map_or(back, |last| back.max(*last)));
    }

    /// How one who comes now stands; `None`: too many wait already.
    fn turn(&self, is_needed: bool, now: Timestamp) -> Option<Turn> {
        let (before, line) = match is_needed {
            true => (self.needed, self.needed),
            false => (self.waiting.len(), self.waiting.len() - self.needed),
        };
        if before == 0 && self.has_room(now) {
            return Some(Turn::Running);
        }
        (line < self.limits.max_queued as usize).then_some(Turn::Waiting)
    }

    fn begin(&mut self, turn: Turn, now: Timestamp) {
        self.spend(now);
        self.running += u32::from(turn == Turn::Running);
    }

    #[inline(never)]
    fn wait(&mut self, node: Node, is_needed: bool, since: Timestamp) {
        let last = self.waiting.len();
        let at = if is_needed { self.needed.min(last) } else { last };
        self.waiting.insert(at, Waiting { node, since });
        self.needed += usize::from(is_needed);
        self.stirred = true;
    }

    fn place_of(&self, node: Node) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.node == node)
    }

    /// It waits no more; since when it has.
    fn take(&mut self, node: Node) -> Option<Timestamp> {
        let at = self.place_of(node)?;
        let since = self.waiting.get(at)?.since;
        self.waiting.retain(|waiting| waiting.node != node);
        self.needed -= usize::from(at < self.needed);
        self.stirred = true;
        Some(since)
    }

    fn free(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.stirred = true;
    }

    fn free_call(&mut self, batch: Node) {
        let before = self.calls.len();
        self.calls.retain(|call| *call != batch);
        if self.calls.len() < before {
            self.free();
        }
    }

    pub fn loads_waiting(&self) -> usize {
        self.waiting.iter().filter(|waiting| matches!(waiting.node, Node::Flight(_))).count()
    }

    /// The clock was set back: no token is kept for longer than it should.
    pub fn set_back(&mut self) {
        self.taken.clear();
        self.reclaim_at = Timestamp::default();
        self.stirred = true;
    }
}

impl Machine {
    /// Lets only so many loads begin at once, and in a second. To be said before the first.
    ///
    /// A load that waits for its turn has not begun: a purge or a newer value before does not concern it. Deadlines count,
    /// and who waits for it may leave; when all have, it is gone. To join or leave costs O(those that wait).
    pub fn limit_loads(&mut self, limits: LoadLimits) {
        self.queue = (!limits.is_boundless()).then(|| Box::new(LoadQueue::new(limits)));
    }

    /// What was said by [`limit_loads`](Self::limit_loads).
    pub fn load_limits(&self) -> LoadLimits {
        self.queue.as_ref().map_or_else(LoadLimits::new, |queue| queue.limits)
    }

    /// Loads and batches' calls that wait for their turn.
    pub fn loads_queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.waiting.len())
    }

    /// Whether a load that was asked for waits for its turn.
    pub fn is_queued(&self, flight: FlightId) -> bool {
        self.flights.get(flight).is_some_and(|flight| flight.turn == Turn::Waiting)
    }

    /// The next that begins now, if there is one that waited. To be asked until there is none: after whatever
    /// [has news](Self::has_news), and at [`next_start`](Self::next_start).
    pub fn poll_start(&mut self, now: Timestamp) -> Option<Start> {
        self.queue.as_mut()?.stirred = false;
        self.reclaim(now);
        loop {
            let queue = self.queue.as_mut()?;
            if let Some(node) = queue.excused.pop() {
                return Some(self.start(node));
            }
            if !queue.has_room(now) {
                return None;
            }
            // One that is overdue is its timer's. Where each has its own, that may have died with its request.
            let (flights, timer) = (&self.flights, self.alarm.is_some());
            let in_time = |node: &Node| match *node {
                Node::Flight(id) if timer => flights.awaited_until(id).is_some_and(|until| now < until),
                Node::Flight(id) => flights.awaited_until(id) != Some(now),
                Node::Batch(_) => true,
            };
            let node = queue.waiting.iter().map(|waiting| waiting.node).find(in_time)?;
            let Node::Flight(id) = node else {
                queue.take(node);
                // For nobody it makes no call: its request is gone, or will see so.
                if self.alarm.is_some() || self.call_until(node) >= now {
                    self.begin_call_now(node, now);
                }
                return Some(Start::Call(node));
            };
            let until = self.flights.awaited_until(id).unwrap_or_default();
            if self.alarm.is_none() && now > until {
                // Nobody can be waiting for it any more.
                self.sweep_out(id);
                continue;
            }
            queue.reclaim_at = queue.reclaim_at.min(until);
            self.begin_late(id, Turn::Running, now);
            return Some(self.start(node));
        }
    }

    /// Where the last good value of a load's key lies; `None` if there is none, or what was purged or set since concerns the load.
    pub fn last_good(&self, flight: FlightId, now: Timestamp) -> Option<Slot> {
        self.flights.get(flight)?.slot.filter(|slot| self.is_usable(*slot, now))
    }

    fn start(&self, node: Node) -> Start {
        match node {
            Node::Flight(id) => Start::Load(id, self.flights.get(id).and_then(|flight| flight.slot)),
            Node::Batch(_) => Start::Call(node),
        }
    }

    /// A load that waited has begun: what was purged before does not concern it.
    fn begin_late(&mut self, id: FlightId, turn: Turn, now: Timestamp) {
        let purges = self.tags.purges();
        let (Some(flight), Some(queue)) = (self.flights.begin_late(id), &mut self.queue) else { return };
        (flight.turn, flight.began, flight.since) = (turn, now, purges);
        let partition = flight.partition;
        let since = queue.take(Node::Flight(id)).unwrap_or(now);
        queue.begin(turn, now);
        self.count(partition, |stats| {
            stats.loads += 1;
            stats.queue_millis.record(now.millis_since(since));
        });
    }

    /// When the next may begin that waits; a moment that has passed if one may now, `None` if none does, or only when
    /// another ends.
    pub fn next_start(&self) -> Option<Timestamp> {
        let queue = self.queue.as_ref().filter(|queue| !queue.waiting.is_empty())?;
        let at = match queue.is_full() {
            false => queue.token_at(),
            true if self.alarm.is_none() => queue.reclaim_at.after(Ttl::Millis(1)),
            true => Timestamp::NEVER,
        };
        (at != Timestamp::NEVER).then_some(at)
    }

    /// When this one may begin that waits, if nobody before it leaves and nothing ends; `None`: only when another ends.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn starts_at(&self, node: Node) -> Result<Option<Timestamp>, NotQueued> {
        let queue = self.queue.as_ref().ok_or(NotQueued)?;
        let rounds = queue.place_of(node).ok_or(NotQueued)? / queue.limits.tokens();
        let Some(next) = self.next_start() else { return Ok(None) };
        Ok(Some(next.after(Ttl::Millis(queue.limits.token_back() * rounds as u64))))
    }

    /// Who begins next, when there is room: one for whom a driver may set a timer.
    pub fn next_to_start(&self) -> Option<Node> {
        Some(self.queue.as_ref()?.waiting.first()?.node)
    }

    /// A batch is to make its call, which counts as one load.
    pub fn begin_call(&mut self, batch: Node, now: Timestamp) -> CallTurn {
        let Self { queue: Some(queue), flights, graph, .. } = self else { return CallTurn::Now };
        if graph.loads_in(batch).any(|id| flights.get(id).is_some_and(|flight| flight.is_inner)) {
            queue.begin(Turn::Free, now);
            return CallTurn::Now;
        }
        match queue.turn(true, now) {
            None => CallTurn::Refused,
            Some(Turn::Running) => {
                self.begin_call_now(batch, now);
                CallTurn::Now
            }
            Some(_) => {
                queue.wait(batch, true, now);
                CallTurn::Later
            }
        }
    }

    /// Whether anybody still waits for a batch's call whose turn has come: for those whose last deadline has passed it is not to be
    /// made, and their loads end.
    pub fn is_call_wanted(&mut self, batch: Node, now: Timestamp) -> bool {
        let loads: Vec<FlightId> = self.graph.loads_in(batch).collect();
        for id in loads {
            if self.flights.awaited_until(id).is_none_or(|until| now > until) {
                self.sweep_out(id);
            }
        }
        self.graph.loads_in(batch).next().is_some()
    }

    /// For nobody it takes no place.
    fn begin_call_now(&mut self, batch: Node, now: Timestamp) {
        let until = self.call_until(batch);
        let Some(queue) = self.queue.as_mut().filter(|_| until > Timestamp::default()) else { return };
        queue.begin(Turn::Running, now);
        queue.calls.push(batch);
        queue.reclaim_at = queue.reclaim_at.min(until);
    }

    /// Until when somebody waits for a batch's call.
    fn call_until(&self, batch: Node) -> Timestamp {
        let waits = self.graph.loads_in(batch).filter_map(|id| self.flights.awaited_until(id));
        waits.max().unwrap_or_default()
    }

    /// A batch's call has ended, or will never be made.
    pub(super) fn end_call(&mut self, batch: Node) {
        let Some(queue) = &mut self.queue else { return };
        queue.take(batch);
        queue.free_call(batch);
    }

    /// How a load stands that is to begin; `None`: too many wait already.
    #[inline]
    pub(super) fn turn_of(&self, ask: &Ask<'_>, background: bool) -> Option<Turn> {
        match &self.queue {
            Some(queue) if !ask.batched && ask.asker.is_none() => {
                queue.turn(!background && ask.policy.priority == Priority::High, ask.now)
            }
            _ => Some(Turn::Free),
        }
    }

    /// A load has come, with the turn that it was given.
    pub(super) fn enter_queue(&mut self, id: FlightId, turn: Turn, ask: &Ask<'_>, background: bool) {
        let Some(queue) = self.queue.as_mut().filter(|_| !ask.batched) else { return };
        match turn {
            Turn::Waiting => {
                queue.wait(Node::Flight(id), !background && ask.policy.priority == Priority::High, ask.now);
            }
            turn => {
                queue.begin(turn, ask.now);
                queue.reclaim_at = queue.reclaim_at.min(self.flights.awaited_until(id).unwrap_or_default());
            }
        }
    }

    /// A load has ended.
    #[inline]
    pub(super) fn leave_queue(&mut self, id: FlightId, turn: Turn) {
        let Some(queue) = &mut self.queue else { return };
        match turn {
            Turn::Running => queue.free(),
            Turn::Waiting => drop(queue.take(Node::Flight(id))),
            // A call that nobody else waits for holds no place any more.
            Turn::Free => {
                let batch = self.graph.batch_of(id);
                // Looked for among the few calls first: most have ended before their loads do.
                if let Some(batch) = batch.filter(|batch| queue.calls.contains(batch))
                    && self.graph.loads_in(batch).nth(1).is_none()
                {
                    queue.free_call(batch);
                }
            }
        }
    }

    /// An attempt after the first takes a token as well. It has waited for its delay, and does not wait for a token.
    pub(super) fn spend_token(&mut self, now: Timestamp) {
        if let Some(queue) = &mut self.queue {
            queue.spend(now);
        }
    }

    /// Somebody more waits for a load: one that is under way itself, for which it begins without a place, since the two
    /// would wait for each other; or somebody in need of one that was not needed.
    pub(super) fn hurry(&mut self, id: FlightId, ask: &Ask<'_>) {
        let node = Node::Flight(id);
        let Some(queue) = &mut self.queue else { return };
        let place = queue.place_of(node);
        if ask.asker.is_some() {
            if place.is_some() {
                self.begin_late(id, Turn::Free, ask.now);
                self.excuse(node);
            } else if let Some(batch) = self.graph.batch_of(id).filter(|batch| queue.take(*batch).is_some()) {
                queue.begin(Turn::Free, ask.now);
                self.excuse(batch);
            }
            if let Some(flight) = self.flights.get_mut(id) {
                flight.is_inner = true;
            }
        } else if ask.policy.priority == Priority::High
            && place.is_some_and(|place| place >= queue.needed)
            && queue.needed < queue.limits.max_queued as usize
            && let Some(since) = queue.take(node)
        {
            queue.wait(node, true, since);
        }
    }

    fn excuse(&mut self, node: Node) {
        if let Some(queue) = &mut self.queue {
            queue.excused.push(node);
            queue.stirred = true;
        }
    }

    /// Takes back the places of those whose requests have died without a word.
    fn reclaim(&mut self, now: Timestamp) {
        let is_due = |queue: &&mut Box<LoadQueue>| queue.is_full() && now > queue.reclaim_at;
        while self.alarm.is_none()
            && let Some(queue) = self.queue.as_mut().filter(is_due)
        {
            match self.flights.overdue(now) {
                Ok(id) => self.sweep_out(id),
                Err(soonest) => queue.reclaim_at = soonest,
            }
        }
    }
}
