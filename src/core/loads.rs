//! Loads under way, called flights, and the groups of those who wait for them. A flight is attached to its key's slot
//! from its start until it ends or is superseded; only attached flights are joined.

use super::ids::{FLIGHT_BITS, FlightId, WaitId};
use super::partitions::PartitionId;
use super::slab::Slot;
use crate::options::Policy;
use crate::time::Timestamp;

/// How a load stands with the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It takes no place: nothing is limited, a batch makes its call, or who holds a place waits for it.
    #[default]
    Free,
    /// It waits.
    Waiting,
    /// It has begun, and has a place.
    Running,
}

/// When a wait ends that its flight does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From then on a stale value will do.
    pub soft: Timestamp,
    /// Then it is an error.
    pub hard: Timestamp,
}

struct Group {
    deadlines: Deadlines,
    /// The last tag purge when they asked.
    since: u64,
    /// Those who asked.
    callers: u32,
    /// Whether the cache itself waits, since somebody was content with a stale value.
    held: bool,
}

/// What the one who began a load said, and what is known of it.
#[derive(Default)]
pub(crate) struct Flight {
    pub partition: PartitionId,
    /// Where its value goes; `None` once it is superseded.
    pub slot: Option<Slot>,
    /// How what it brings is kept, unless the loader says otherwise.
    pub policy: Policy,
    pub tags: Vec<String>,
    pub weight: Option<u32>,
    pub began: Timestamp,
    /// The last tag purge when it began.
    pub since: u64,
    /// Nobody waits but the cache itself: it refreshes what was handed out.
    pub background: bool,
    /// It goes on, though nobody waits, until it ends by itself or its leader's deadline has passed.
    pub detached: bool,
    /// How many attempts have failed that another one follows.
    pub failures: u32,
    /// How it stands with the queue.
    pub turn: Turn,
    /// A load that is under way waits for it.
    pub is_inner: bool,
}

/// What is to be known of a flight that has ended.
pub(crate) struct EndedFlight {
    pub partition: PartitionId,
    pub slot: Option<Slot>,
    pub began: Timestamp,
    pub background: bool,
    pub turn: Turn,
}

#[derive(Default)]
struct Place {
    generation: u32,
    live: bool,
    /// Of the flight that is here, or was. It stays in its place, since it is large.
    flight: Flight,
    groups: Vec<Group>,
    /// Callers and holds of all groups.
    waiters: u32,
    /// The leader's hard deadline: from then on nobody joins, so that a load that never ends can't hold its key.
    joinable_until: Timestamp,
    /// The latest deadline of all who wait. After it nobody can be waiting, whatever the count says: in a Worker,
    /// waiters vanish with their requests and never say so.
    awaited_until: Timestamp,
}

/// All flights, and the places where flights were.
#[derive(Default)]
pub(crate) struct Flights {
    places: Vec<Place>,
    free: Vec<u32>,
    hand: usize,
}

impl Flights {
    pub fn live(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A new flight with one waiter in its first group, the cache itself or (`background`: false) somebody who asked after
    /// tag purge `since`. The rest of it is the caller's to fill in. `None` when 2^21 loads are under way.
    pub fn begin(&mut self, deadlines: Deadlines, since: u64, background: bool) -> Option<(FlightId, &mut Flight)> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                let number = u32::try_from(self.places.len()).ok().filter(|number| *number < 1 << FLIGHT_BITS)?;
                self.places.push(Place::default());
                number
            }
        };
        let place = self.places.get_mut(number as usize)?;
        place.groups.push(Group { deadlines, since, callers: u32::from(!background), held: background });
        place.live = true;
        place.waiters = 1;
        place.joinable_until = deadlines.hard;
        place.awaited_until = deadlines.hard;
        place.flight.since = since;
        place.flight.background = background;
        place.flight.failures = 0;
        place.flight.turn = Turn::Free;
        place.flight.is_inner = false;
        Some((FlightId::new(number, place.generation), &mut place.flight))
    }

    fn place(&self, id: FlightId) -> Option<&Place> {
        self.places.get(id.index()).filter(|place| place.generation == id.generation() && place.live)
    }

    fn place_mut(&mut self, id: FlightId) -> Option<&mut Place> {
        self.places.get_mut(id.index()).filter(|place| place.generation == id.generation() && place.live)
    }

    pub fn get(&self, id: FlightId) -> Option<&Flight> {
        self.place(id).map(|place| &place.flight)
    }

    pub fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.place_mut(id).map(|place| &mut place.flight)
    }

    /// The latest deadline of those who wait; `None` if nobody does.
    pub fn awaited_until(&self, id: FlightId) -> Option<Timestamp> {
        self.place(id).filter(|place| place.waiters > 0).map(|place| place.awaited_until)
    }

    /// It begins late: whoever can wait for it may join it.
    pub fn begin_late(&mut self, id: FlightId) -> Option<&mut Flight> {
        let place = self.place_mut(id)?;
        place.joinable_until = place.awaited_until;
        Some(&mut place.flight)
    }

    /// Takes the tags that were said when the flight began, which is about to end.
    pub fn take_tags(&mut self, id: FlightId) -> Vec<String> {
        self.place_mut(id).map(|place| std::mem::take(&mut place.flight.tags)).unwrap_or_default()
    }

    /// The live flight with this number.
    pub fn id_at(&self, number: u32) -> Option<FlightId> {
        let place = self.places.get(number as usize).filter(|place| place.live)?;
        Some(FlightId::new(number, place.generation))
    }

    pub fn is_joinable(&self, id: FlightId, now: Timestamp) -> bool {
        let until = |place: &Place| match place.flight.turn {
            // It can't be one that never ends.
            Turn::Waiting => place.awaited_until,
            _ => place.joinable_until,
        };
        self.place(id).is_some_and(|place| now < until(place))
    }

    /// One waiter more, who asked after tag purge `since`. The place of its group, and whether that is new.
    pub fn join(&mut self, id: FlightId, deadlines: Deadlines, since: u64) -> Option<(u32, bool)> {
        let place = self.place_mut(id)?;
        place.waiters = place.waiters.saturating_add(1);
        place.awaited_until = place.awaited_until.max(deadlines.hard);
        if let Some(last) = place.groups.last_mut()
            && last.deadlines == deadlines
            && last.since == since
            && last.callers > 0
        {
            last.callers = last.callers.saturating_add(1);
            return Some((u32::try_from(place.groups.len() - 1).ok()?, false));
        }
        place.groups.push(Group { deadlines, since, callers: 1, held: false });
        Some((u32::try_from(place.groups.len() - 1).ok()?, true))
    }

    /// So many more waiters of a group, each like its last.
    pub fn join_more(&mut self, wait: WaitId, callers: u32) {
        let Some(place) = self.place_mut(wait.flight) else { return };
        let Some(group) = place.groups.get_mut(wait.group as usize) else { return };
        group.callers = group.callers.saturating_add(callers);
        place.waiters = place.waiters.saturating_add(callers);
    }

    fn group(&self, wait: WaitId) -> Option<&Group> {
        self.place(wait.flight)?.groups.get(wait.group as usize)
    }

    /// How many callers wait in a group.
    pub fn callers(&self, wait: WaitId) -> u32 {
        self.group(wait).map_or(0, |group| group.callers)
    }

    /// How many callers wait in all groups together.
    pub fn all_callers(&self, id: FlightId) -> u32 {
        self.place(id).map_or(0, |place| place.groups.iter().map(|group| group.callers).sum())
    }

    /// When the waits of a group end; `None` if nobody waits there any more.
    pub fn deadlines(&self, wait: WaitId) -> Option<Deadlines> {
        self.group(wait).filter(|group| group.callers > 0 || group.held).map(|group| group.deadlines)
    }

    /// So many callers of a group leave; with `release`, the cache's own wait there too. `true` if nobody waits for the
    /// flight any more.
    pub fn leave(&mut self, wait: WaitId, callers: u32, release: bool) -> bool {
        let Some(place) = self.place_mut(wait.flight) else { return false };
        let Some(group) = place.groups.get_mut(wait.group as usize) else { return false };
        let callers = callers.min(group.callers);
        group.callers -= callers;
        let released = release && std::mem::take(&mut group.held);
        place.waiters = place.waiters.saturating_sub(callers + u32::from(released));
        (callers > 0 || released) && place.waiters == 0 && !place.flight.detached
    }

    /// The cache itself waits in this group until its deadline. `false` if it does already.
    pub fn hold(&mut self, wait: WaitId) -> bool {
        let Some(place) = self.place_mut(wait.flight) else { return false };
        let Some(group) = place.groups.get_mut(wait.group as usize).filter(|group| !group.held) else { return false };
        group.held = true;
        place.waiters = place.waiters.saturating_add(1);
        true
    }

    /// The groups that asked at tag purge `purge` or later, the first of them last.
    pub fn asked_since(&self, flight: FlightId, purge: u64) -> Vec<WaitId> {
        let groups = self.place(flight).map_or(&[][..], |place| &place.groups);
        let mut late = Vec::new();
        for (at, group) in groups.iter().enumerate().rev() {
            if group.since >= purge && group.callers > 0 {
                late.push(WaitId { flight, group: at as u32 });
            }
        }
        late
    }

    /// Looks at the next place; the flight there, if nobody can be waiting for it any more.
    pub fn sweep(&mut self, now: Timestamp) -> Option<FlightId> {
        self.hand = if self.hand + 1 < self.places.len() { self.hand + 1 } else { 0 };
        let place = self.places.get(self.hand)?;
        (place.live && now > place.awaited_until).then_some(FlightId::new(self.hand as u32, place.generation))
    }

    /// One that has begun and that nobody can be waiting for any more; else when the next will be so. O(n).
    pub fn overdue(&self, now: Timestamp) -> Result<FlightId, Timestamp> {
        let mut soonest = Timestamp::NEVER;
        for (number, place) in self.places.iter().enumerate() {
            if place.live && place.flight.turn != Turn::Waiting {
                if now > place.awaited_until {
                    return Ok(FlightId::new(number as u32, place.generation));
                }
                soonest = soonest.min(place.awaited_until);
            }
        }
        Err(soonest)
    }

    /// All deadlines come so many milliseconds earlier.
    pub fn set_back(&mut self, millis: u64) {
        for place in self.places.iter_mut().filter(|place| place.live) {
            place.joinable_until = place.joinable_until.before(millis);
            place.awaited_until = place.awaited_until.before(millis);
            for Group { deadlines, .. } in &mut place.groups {
                *deadlines = Deadlines { soft: deadlines.soft.before(millis), hard: deadlines.hard.before(millis) };
            }
            place.flight.began = place.flight.began.before(millis);
        }
    }

    /// Cuts the flight loose from its key.
    pub fn detach(&mut self, id: FlightId) {
        if let Some(place) = self.place_mut(id) {
            place.flight.slot = None;
        }
    }

    pub fn detach_all(&mut self) {
        for place in &mut self.places {
            place.flight.slot = None;
        }
    }

    /// Frees the flight's place; what was known of it, `None` if it had ended before.
    pub fn end(&mut self, id: FlightId) -> Option<EndedFlight> {
        let place = self.place_mut(id)?;
        let Flight { partition, slot, began, background, turn, .. } = place.flight;
        place.live = false;
        place.flight.slot = None;
        place.generation = place.generation.wrapping_add(1);
        // The lists keep their room for the next flight here, unless they are long.
        if place.groups.capacity() > 64 {
            place.groups = Vec::new()
        } else {
            place.groups.clear()
        }
        if place.flight.tags.capacity() > 64 {
            place.flight.tags = Vec::new()
        } else {
            place.flight.tags.clear()
        }
        place.waiters = 0;
        self.free.push(id.number());
        Some(EndedFlight { partition, slot, began, background, turn })
    }
}
