//! CLOCK-Pro (Jiang, Chen, Zhang, USENIX ATC 2005) reduced to two queues and a table of ghosts; the idea, to compare the
//! distance between two uses of one key with the age of another's last use, is LIRS's (Jiang, Zhang, SIGMETRICS 2002).
//!
//! *Time* is a count of insertions and promotions; an entry bears the stamp of its last one. *Cold* entries, a small share,
//! stand in a queue; the *hot* ones in another, whose hand looks at the oldest: a hit counter above 0 goes down by one, and
//! the entry goes to the front with a new stamp; where there is one at 0, the hand stands. To make room, the oldest
//! cold entry is looked at: one that was not hit leaves, and a ghost stays if its stamp is newer than the hand's; one that
//! was hit and is newer becomes hot, for which the hand's entry becomes cold; one that was hit and is older goes round
//! once more. A key that comes in and has a ghost newer than the hand becomes hot at once, if it has come in
//! more often than the entry under the hand; if it has not, that entry counts as having come once less.

use super::ghosts::{FIRST, Ghosts, Known, MOST_COMES};
use super::{HOT, Leaving, MOST_HITS, NOTED};
use crate::core::grow::grow;

/// How many entries one operation moves at the most, in each of two loops: a queue of entries that all were hit is not
/// gone through at once.
const STEPS: u32 = 16;

const CLASS_BITS: u32 = 2;
const COMES_BITS: u32 = 3;
/// Ages are told apart up to 2^27 ticks.
const STAMP_SHIFT: u32 = CLASS_BITS + COMES_BITS;
const STAMP_MASK: u32 = !((1 << STAMP_SHIFT) - 1);

/// Where in a standing its parts begin.
const HITS_SHIFT: u32 = 1;
const COMES_SHIFT: u32 = 3;
const AGE_SHIFT: u32 = 6;
/// What is older is told to be of this age.
const OLDEST: u32 = u32::MAX >> AGE_SHIFT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// In no queue.
    Out,
    Cold,
    Hot,
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// The neighbour nearer to the front of the queue; of the newest the oldest, since a queue is a circle.
    newer: u32,
    /// The neighbour nearer to its end; of the oldest the newest.
    older: u32,
    /// The class, how often the key has come in, the stamp.
    mark: u32,
    /// The key's hash; 0: none.
    hash: u32,
}

impl Node {
    fn class(self) -> Class {
        match self.mark & 3 {
            0 => Class::Out,
            1 => Class::Cold,
            _ => Class::Hot,
        }
    }

    fn set_class(&mut self, class: Class) {
        self.mark = (self.mark & !3) | class as u32;
    }

    fn comes(self) -> u32 {
        (self.mark >> CLASS_BITS) & MOST_COMES
    }

    fn set_comes(&mut self, comes: u32) {
        self.mark = (self.mark & !(MOST_COMES << CLASS_BITS)) | (comes << CLASS_BITS);
    }

    fn set_stamp(&mut self, time: u32) {
        self.mark = (time << STAMP_SHIFT) | (self.mark & !STAMP_MASK);
    }

    /// How many ticks ago it got its stamp.
    fn age(self, time: u32) -> u32 {
        (time << STAMP_SHIFT).wrapping_sub(self.mark & STAMP_MASK) >> STAMP_SHIFT
    }
}

/// A circle, so that the oldest comes to the front by looking at the next one.
#[derive(Clone, Copy, Default)]
pub(super) struct Queue {
    /// 0: none.
    oldest: u32,
    pub len: u32,
    pub weight: u64,
}

/// What may be in the hot queue.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub entries: u32,
    pub weight: u64,
}

pub(super) struct Clock {
    /// By number, from 1 on.
    nodes: Vec<Node>,
    /// Hit counters, by number. In the cache's own clock a driver may see them.
    pub hits: Vec<u8>,
    /// Goes up whenever `hits` moves.
    pub version: u32,
    pub cold: Queue,
    pub hot: Queue,
    hot_room: Room,
    time: u32,
    ghosts: Ghosts,
    /// Whether room was ever needed. Until then, what comes in is hot as long as it may be.
    pub was_full: bool,
    expected: u32,
}

impl Clock {
    /// For numbers up to about `expected`. Nothing is allocated ahead.
    pub fn new(expected: u32) -> Self {
        Self {
            nodes: vec![Node::default()],
            hits: vec![0],
            version: 0,
            cold: Queue::default(),
            hot: Queue::default(),
            hot_room: Room { entries: u32::MAX, weight: u64::MAX },
            time: 0,
            ghosts: Ghosts::new(expected),
            was_full: false,
            expected,
        }
    }

    /// How many entries may be hot. What is too many becomes cold in the course of evictions.
    pub fn set_hot_room(&mut self, room: Room) {
        self.hot_room = room;
    }

    pub fn len(&self) -> u32 {
        self.cold.len + self.hot.len
    }

    /// The number is a key's of this hash (0: none) from now on.
    pub fn keyed(&mut self, number: u32, hash: u32) {
        grow(&mut self.nodes, number, self.expected, Node::default());
        if grow(&mut self.hits, number, self.expected, 0) {
            self.version = self.version.wrapping_add(1);
        }
        if let Some(node) = self.nodes.get_mut(number as usize) {
            *node = Node { hash, ..Node::default() };
        }
    }

    pub fn hash(&self, number: u32) -> u32 {
        self.node(number).hash
    }

    #[cfg(test)]
    pub fn class(&self, number: u32) -> Class {
        self.node(number).class()
    }

    /// Puts what is in no queue into one. `known`: if there is a ghost of its key, this is the key.
    pub fn insert(&mut self, number: u32, weights: &[u32], known: bool) {
        let mut node = self.node(number);
        let ghost = if known && node.hash != 0 { self.ghosts.take(node.hash, self.time) } else { None };
        let (hot, comes) = self.classify(ghost, number, weights);
        self.set_hits(number, 0);
        node.set_comes(comes);
        node.set_stamp(self.tick());
        self.push(number, node, if hot { Class::Hot } else { Class::Cold }, weights);
        self.cool(weights);
    }

    /// What the [victim](Self::victim) `number` was makes room for a new key of this hash (0: none): as to remove the one
    /// and insert the other, where neither weighs anything, and to [note](Self::set_noted) the other's hits elsewhere or not.
    #[inline(always)]
    pub fn exchange(&mut self, number: u32, hash: u32, noted: bool) {
        if number != self.cold.oldest {
            self.remove(number, &[], Leaving::Evicted);
            self.keyed(number, hash);
            self.insert(number, &[], true);
            return self.set_noted(number, noted);
        }
        let node = self.node(number);
        self.remember(node, node.age(self.time));
        let ghost = if hash != 0 { self.ghosts.take(hash, self.time) } else { None };
        let (hot, comes) = match ghost {
            None => (false, FIRST),
            ghost => self.classify(ghost, number, &[]),
        };
        let time = self.tick();
        if let Some(hits) = self.hits.get_mut(number as usize) {
            *hits = if noted { NOTED } else { 0 };
        }
        let Some(place) = self.nodes.get_mut(number as usize) else { return };
        (place.mark, place.hash) = (mark(Class::Cold, comes, time), hash);
        if hot {
            let node = self.node(number);
            self.unlink(number, node, &[]);
            self.push(number, node, Class::Hot, &[]);
        } else {
            self.cold.oldest = node.newer;
        }
        self.cool(&[]);
    }

    /// Whether a key that comes in is hot, and how often it has come by now.
    #[inline]
    fn classify(&mut self, ghost: Option<Known>, number: u32, weights: &[u32]) -> (bool, u32) {
        let recent = ghost.is_some_and(|ghost| ghost.age <= self.hand());
        let comes = ghost.map_or(FIRST, |ghost| (ghost.comes + 1).min(MOST_COMES));
        let hot = match self.has_room_for(number, weights) {
            true => recent || !self.was_full,
            false => recent && self.displaces(comes),
        };
        (hot, comes)
    }

    /// What there is to know of it: [`HOT`], two bits of hits, three of how often it has come, and its age.
    pub fn standing(&self, number: u32) -> u32 {
        let node = self.node(number);
        let hot = if node.class() == Class::Hot { HOT } else { 0 };
        let hits = u32::from(self.hits(number)) << HITS_SHIFT;
        hot | hits | node.comes() << COMES_SHIFT | node.age(self.time).min(OLDEST) << AGE_SHIFT
    }

    /// Puts what is in no queue at the end of one, where it was by its [`standing`](Self::standing). Too many hot ones become
    /// cold.
    pub fn restore(&mut self, number: u32, weights: &[u32], standing: u32) {
        let mut node = self.node(number);
        let class = if standing & HOT != 0 && self.has_room_for(number, weights) { Class::Hot } else { Class::Cold };
        self.set_hits(number, (standing >> HITS_SHIFT) as u8 & MOST_HITS);
        node.set_comes(((standing >> COMES_SHIFT) & MOST_COMES).max(FIRST));
        node.set_stamp(self.time.wrapping_sub(standing >> AGE_SHIFT));
        self.push(number, node, class, weights);
        // The newest of a circle is its oldest when that is where it begins.
        if let Some(queue) = self.queue(class) {
            queue.oldest = number;
        }
    }

    /// Its weight was another one.
    pub fn reweigh(&mut self, number: u32, before: u32, now: u32) {
        let Some(queue) = self.queue(self.node(number).class()) else { return };
        queue.weight = queue.weight.saturating_sub(u64::from(before)) + u64::from(now);
    }

    /// Counts a hit. `true` if it is to be noted elsewhere too.
    #[inline]
    pub fn hit(&mut self, number: u32) -> bool {
        let Some(hits) = self.hits.get_mut(number as usize) else { return false };
        // As with most hits, and nothing is written.
        if *hits == MOST_HITS {
            return false;
        }
        *hits += u8::from((*hits & !NOTED) < MOST_HITS);
        *hits >= NOTED
    }

    /// Whether its hits are to be noted elsewhere too.
    pub fn set_noted(&mut self, number: u32, noted: bool) {
        if let Some(hits) = self.hits.get_mut(number as usize) {
            *hits = (*hits & !NOTED) | if noted { NOTED } else { 0 };
        }
    }

    /// Takes it out of its queue. Its key is remembered if it was hot, or used not longer ago than the entry under the
    /// hand; where it did not have to make room, a hot one as if it had been used now.
    pub fn remove(&mut self, number: u32, weights: &[u32], why: Leaving) {
        let node = self.node(number);
        if node.class() == Class::Out {
            return;
        }
        if why != Leaving::Failure {
            let was_used = node.class() == Class::Hot && why == Leaving::Removed;
            self.remember(node, if was_used { 0 } else { node.age(self.time) });
        }
        // The hand may have moved its neighbours, or itself.
        self.unlink(number, self.node(number), weights);
        self.change(number, |node| node.set_class(Class::Out));
        if let Some(hits) = self.hits.get_mut(number as usize) {
            *hits = 0;
        }
    }

    /// Leaves a ghost of a key, as if it had got its stamp so many ticks ago, if it was hot or that was not longer ago than
    /// with the entry under the hand.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    fn remember(&mut self, node: Node, age: u32) {
        if node.hash != 0 && (node.class() == Class::Hot || age <= self.hand()) {
            self.ghosts.reserve(self.cold.len + self.hot.len, self.time);
            self.ghosts.add(node.hash, self.time.wrapping_sub(age), node.comes());
        }
    }

    /// Whom to evict: anything but `keep`, unless there is nothing else.
    #[inline(always)]
    pub fn victim(&mut self, weights: &[u32], keep: u32) -> Option<u32> {
        self.was_full = true;
        self.cool(weights);
        let oldest = self.cold.oldest;
        if oldest != 0 && oldest != keep && self.hits(oldest) == 0 {
            return Some(oldest);
        }
        self.seek_victim(weights, keep)
    }

    #[inline(never)]
    fn seek_victim(&mut self, weights: &[u32], keep: u32) -> Option<u32> {
        for _ in 0..STEPS {
            let number = self.cold.oldest;
            if number == 0 || (number == keep && self.cold.len == 1) {
                break;
            }
            if number == keep {
                self.renew(number, Class::Cold, weights);
                continue;
            }
            if self.hits(number) == 0 {
                return Some(number);
            }
            let age = self.node(number).age(self.time);
            let recent = age <= self.hand();
            self.set_hits(number, 0);
            self.renew(number, if recent { Class::Hot } else { Class::Cold }, weights);
            self.cool(weights);
        }
        let other = |number: u32| Some(number).filter(|number| *number != 0 && *number != keep);
        let oldest = other(self.cold.oldest).or_else(|| other(self.node(self.cold.oldest).newer));
        oldest.or_else(|| {
            self.hand();
            other(self.hot.oldest).or_else(|| other(self.node(self.hot.oldest).newer)).or(Some(keep))
        })
    }

    /// All numbers in the queues: the hot ones first, and those lately come in or promoted before others.
    pub fn order(&self) -> Vec<u32> {
        let mut numbers = Vec::new();
        for Queue { oldest, len, .. } in [self.hot, self.cold] {
            let mut number = oldest;
            for _ in 0..len {
                number = self.node(number).older;
                numbers.push(number);
            }
        }
        numbers
    }

    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.hits.capacity() + self.ghosts.bytes()
    }

    /// The age of the entry under the hand, which is sought first; without one above every age.
    #[inline]
    fn hand(&mut self) -> u32 {
        if self.hits(self.hot.oldest) > 0 {
            self.turn();
        }
        match self.hot.oldest {
            0 => u32::MAX,
            oldest => self.node(oldest).age(self.time),
        }
    }

    /// Moves entries that were hit away from under the hand.
    #[inline(never)]
    fn turn(&mut self) {
        for _ in 0..STEPS {
            let number = self.hot.oldest;
            let hits = self.hits(number);
            if number == 0 || hits == 0 {
                break;
            }
            self.set_hits(number, hits - 1);
            self.renew(number, Class::Hot, &[]);
        }
    }

    /// Makes as many hot entries cold as there are too many, a few at a time.
    #[inline(always)]
    fn cool(&mut self, weights: &[u32]) {
        for _ in 0..2 {
            if self.hot.len <= self.hot_room.entries && self.hot.weight <= self.hot_room.weight {
                return;
            }
            self.cool_one(weights);
        }
    }

    #[inline(never)]
    fn cool_one(&mut self, weights: &[u32]) {
        self.hand();
        // It keeps its stamp, which is not newer than the next one's under the hand.
        let (number, node) = (self.hot.oldest, self.node(self.hot.oldest));
        self.set_hits(number, 0);
        self.unlink(number, node, weights);
        self.push(number, node, Class::Cold, weights);
    }

    /// Whether a key that has come so often takes the place of the entry under the hand.
    fn displaces(&mut self, comes: u32) -> bool {
        let number = self.hot.oldest;
        let held = self.node(number).comes();
        let wins = number == 0 || comes > held;
        if !wins {
            self.change(number, |node| node.set_comes(held - 1));
        }
        wins
    }

    fn has_room_for(&self, number: u32, weights: &[u32]) -> bool {
        let weight = self.hot.weight.saturating_add(u64::from(weight_of(number, weights)));
        self.hot.len < self.hot_room.entries && weight <= self.hot_room.weight
    }

    /// Moves the oldest of a queue to the front of one, with a new stamp.
    #[inline]
    fn renew(&mut self, number: u32, class: Class, weights: &[u32]) {
        let (mut node, time) = (self.node(number), self.tick());
        if node.class() == class {
            self.change(number, |node| node.set_stamp(time));
            if let Some(queue) = self.queue(class) {
                queue.oldest = node.newer;
            }
            return;
        }
        self.unlink(number, node, weights);
        node.set_stamp(time);
        self.push(number, node, class, weights);
    }

    fn tick(&mut self) -> u32 {
        self.time = self.time.wrapping_add(1);
        self.time
    }

    /// Writes an entry that is in no queue to the front of one.
    #[inline]
    fn push(&mut self, number: u32, mut node: Node, class: Class, weights: &[u32]) {
        let weight = u64::from(weight_of(number, weights));
        let Some(queue) = self.queue(class) else { return };
        queue.len += 1;
        queue.weight += weight;
        node.set_class(class);
        (node.newer, node.older) = (number, number);
        if queue.oldest == 0 {
            queue.oldest = number;
        } else {
            node.newer = queue.oldest;
            node.older = self.node(node.newer).older;
            self.change(node.newer, |oldest| oldest.older = number);
            self.change(node.older, |newest| newest.newer = number);
        }
        self.change(number, |place| *place = node);
    }

    /// Takes an entry, as it stands there, out of its queue. What stands there stays.
    #[inline]
    fn unlink(&mut self, number: u32, node: Node, weights: &[u32]) {
        let weight = u64::from(weight_of(number, weights));
        let Some(queue) = self.queue(node.class()) else { return };
        queue.len -= 1;
        queue.weight = queue.weight.saturating_sub(weight);
        if queue.oldest == number {
            queue.oldest = if node.newer == number { 0 } else { node.newer };
        }
        self.change(node.newer, |newer| newer.older = node.older);
        self.change(node.older, |older| older.newer = node.newer);
    }

    fn queue(&mut self, class: Class) -> Option<&mut Queue> {
        match class {
            Class::Out => None,
            Class::Cold => Some(&mut self.cold),
            Class::Hot => Some(&mut self.hot),
        }
    }

    fn hits(&self, number: u32) -> u8 {
        match self.hits.get(number as usize) {
            Some(hits) => (hits & !NOTED).min(MOST_HITS),
            None => 0,
        }
    }

    fn set_hits(&mut self, number: u32, count: u8) {
        if let Some(hits) = self.hits.get_mut(number as usize) {
            *hits = (*hits & NOTED) | count;
        }
    }

    fn node(&self, number: u32) -> Node {
        self.nodes.get(number as usize).copied().unwrap_or_default()
    }

    fn change(&mut self, number: u32, f: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(number as usize) {
            f(node);
        }
    }
}

fn mark(class: Class, comes: u32, time: u32) -> u32 {
    (time << STAMP_SHIFT) | (comes << CLASS_BITS) | class as u32
}

fn weight_of(number: u32, weights: &[u32]) -> u32 {
    weights.get(number as usize).copied().unwrap_or(0)
}
