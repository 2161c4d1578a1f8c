//! The thinnest driver: plain calls into the machine, and nothing at once. It says what the core has decided, so that
//! where the two faces differ it is known whose the fault is.

mod asks;
mod ends;
mod writes;

use std::collections::HashMap;

use nearcache::core::{
    Answer, Ask, BatchId, BatchLimits, CallTurn, Counted, Failure, FlightId, Goes, JoinBatch, LoadOutcome, LoadedValue,
    Machine, NewValue, Node, Part, PartitionId, Removal, RemovalCause, Settled, Slot, Softened, StaleCause, Start,
    Timers, Touched, WaitId, Wake, Who, WriteId, WriteThrough, join_scope,
};
use nearcache::options::{Limits, Policy};
use nearcache::{Timestamp, Ttl};
use serde_json::{Value as Json, json};

use super::script::{self, Face, Log, NOTHING, Place, Value, flag, list, number, said, show, show_ttl, text, ttl};

enum Kept {
    Value(Value),
    Error(String),
}

struct Load {
    name: String,
    place: Place,
    key: String,
    flight: FlightId,
    /// What the one who began it said.
    with: Json,
    request: Option<String>,
    ended: bool,
    background: bool,
    /// What it has been told to end with, while its own asks are under way.
    told: Option<Json>,
    /// The last good value, as it is told of.
    stale: Option<Value>,
    /// What it asks for itself, once it has begun.
    asks: Vec<Json>,
    /// It waits for its turn.
    queued: bool,
    /// When it is tried again, and how its last attempt ended.
    retry: Option<(Timestamp, Json)>,
}

struct Wait {
    name: String,
    place: Place,
    key: String,
    step: Json,
    asked_at: Timestamp,
    policy: Policy,
    /// The load that asks.
    asker: Option<usize>,
    load: usize,
    wait: Option<WaitId>,
    counted: Counted,
    ended: bool,
}

struct Write {
    caller: String,
    name: String,
    place: Place,
    key: String,
    id: WriteId,
    with: Json,
    request: Option<String>,
    deadline: Timestamp,
    /// Its caller waits no more.
    left: bool,
    ended: bool,
}

struct Batch {
    name: Option<String>,
    place: Place,
    /// The loads of each key.
    keys: Vec<(String, Vec<usize>)>,
    closes_at: Option<Timestamp>,
    began: Timestamp,
    id: BatchId,
    /// Its call waits for its turn.
    queued: bool,
}

pub struct Bare {
    machine: Machine,
    now: u64,
    case: Json,
    log: Log,
    names: HashMap<Slot, (Place, String)>,
    slots: HashMap<(Place, String), Slot>,
    kept: HashMap<Slot, Kept>,
    loads: Vec<Load>,
    waits: Vec<Wait>,
    writes: Vec<Write>,
    batches: Vec<Batch>,
    batch_names: u32,
}

impl Face for Bare {
    fn new(case: &Json) -> Self {
        let cache = said(case, "cache");
        let bound = |name| number(cache, name).unwrap_or(u64::MAX);
        let limits =
            Limits::new(number(cache, "maxEntries").unwrap_or(10_000), bound("maxBytes"), bound("maxEntryBytes"));
        let usual = ttl(cache, "ttl").unwrap_or(Ttl::Forever);
        let mut machine = Machine::new(limits, usual, Timers::Shared);
        machine.limit_loads(script::load_limits(cache));
        machine.purge_stale_every(ttl(cache, "purgeStaleEvery").unwrap_or(Ttl::Forever));
        Self {
            machine,
            now: 1_000_000,
            case: case.clone(),
            log: Log::default(),
            names: HashMap::new(),
            slots: HashMap::new(),
            kept: HashMap::new(),
            loads: Vec::new(),
            waits: Vec::new(),
            writes: Vec::new(),
            batches: Vec::new(),
            batch_names: 0,
        }
    }

    fn act(&mut self, step: &Json) -> Result<Json, String> {
        if self.case.get("hookGets").is_some() {
            return Err("the bare machine has no hooks that call".to_owned());
        }
        let place = Place::of(step);
        let Some((operation, subject)) = step.as_object().and_then(|step| step.iter().find(|it| is_operation(it.0)))
        else {
            return Err(format!("no such step: {step}"));
        };
        let name = subject.as_str().unwrap_or("").to_owned();
        let slot = self.slots.get(&(place.clone(), name.clone())).copied();
        let now = self.now();
        let answer = match operation.as_str() {
            "set" => self.set(step, place, name, slot),
            "get" => self.get(place, name, slot),
            "peek" => self.fresh(slot).map_or(json!(NOTHING), |value| json!(value)),
            "has" => json!(self.fresh(slot).is_some()),
            "peekStale" => {
                let usable = slot.filter(|slot| self.machine.is_usable(*slot, now));
                self.value(usable).map_or(json!(NOTHING), |value| json!(value))
            }
            "info" => slot.and_then(|slot| self.info(slot)).unwrap_or(json!(NOTHING)),
            "purgeStale" => {
                let purged = self.machine.remove_all_expired(now);
                self.drain();
                json!(purged)
            }
            "deleteWhere" => self.delete_where(&place, &name),
            "setMany" => {
                for pair in list(step, "setMany") {
                    let set =
                        json!({ "set": pair[0], "to": pair[1], "in": said(step, "in"), "with": said(step, "with") });
                    self.act(&set)?;
                }
                Json::Null
            }
            "deleteMany" => {
                let delete = |key| json!({ "delete": key, "in": said(step, "in") });
                let deleted = list(step, "deleteMany").iter().map(|key| self.act(&delete(key)));
                let deleted = deleted.collect::<Result<Vec<_>, _>>()?;
                json!(deleted.iter().filter(|deleted| **deleted == true).count())
            }
            "remainingTtl" => match slot.filter(|slot| self.machine.is_fresh(*slot, now)) {
                Some(slot) => self.machine.age(slot, now).map_or(Json::Null, |age| show_ttl(age.ttl)),
                None => json!(NOTHING),
            },
            "delete" => {
                let was = self.fresh(slot).is_some();
                slot.into_iter().for_each(|slot| self.machine.remove(slot));
                self.drain();
                json!(was)
            }
            "expire" => {
                let was = slot.is_some_and(|slot| self.machine.expire(slot, now));
                self.drain();
                json!(was)
            }
            "clear" => self.clear(&place),
            "deleteByTag" => {
                let hit = self.with_part(&place, |machine, part| machine.remove_tag(part, &name));
                self.drain();
                json!(hit)
            }
            "expireByTag" => {
                let hit = self.with_part(&place, |machine, part| machine.expire_tag(part, &name, now));
                self.drain();
                json!(hit)
            }
            "size" => json!(self.size(step)),
            "stats" => self.stats(step),
            "ask" => self.ask(step, None),
            "update" => self.update(step, place, name),
            "bring" | "fail" => self.tell(step, &name)?,
            "lose" => self.lose(&name),
            "leave" => self.leave(&name)?,
            "advance" => self.advance(subject.as_u64().unwrap_or(0)),
            "walk" => {
                (0..subject.as_u64().unwrap_or(0)).for_each(|_| drop(self.advance(1)));
                Json::Null
            }
            other => return Err(format!("the bare machine has no {other}")),
        };
        Ok(answer)
    }

    fn settle_down(&mut self) {
        for at in 0..self.batches.len() {
            if self.batches[at].closes_at.is_none() {
                self.close(at);
            }
        }
        if flag(&self.case, "figures") {
            self.advance(0);
        }
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn stats(&mut self, step: &Json) -> Json {
        let namespace = self.with_part(&Place::of(step), |_, part| part.namespace);
        let stats = if namespace == 0 { self.machine.stats() } else { self.machine.namespace_stats(namespace) };
        script::figures(&stats, self.machine.loads_in_flight(), self.machine.loads_queued())
    }

    fn size(&mut self, step: &Json) -> usize {
        self.with_part(&Place::of(step), |machine, part| machine.held_within(part).entries as usize)
    }
}

pub fn is_operation(name: &str) -> bool {
    const OPERATIONS: [&str; 33] = [
        "compute",
        "pop",
        "getAllPresent",
        "find",
        "keys",
        "peekStale",
        "info",
        "purgeStale",
        "deleteWhere",
        "setMany",
        "deleteMany",
        "set",
        "get",
        "peek",
        "has",
        "remainingTtl",
        "delete",
        "expire",
        "clear",
        "deleteByTag",
        "expireByTag",
        "size",
        "stats",
        "ask",
        "update",
        "bring",
        "fail",
        "lose",
        "leave",
        "advance",
        "walk",
        "keepFresh",
        "stop",
    ];
    OPERATIONS.contains(&name)
}

impl Bare {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn with_part<T>(&mut self, place: &Place, f: impl FnOnce(&mut Machine, Part<'_>) -> T) -> T {
        let within = |outer, name: &String| self.machine.namespace(outer, name).expect("numbers are left");
        let namespace = place.namespaces.iter().fold(0, within);
        let scope = place.scopes.iter().fold(String::new(), |outer, name| join_scope(&outer, name));
        f(&mut self.machine, Part { namespace, scope: &scope })
    }

    fn partition(&mut self, place: &Place) -> PartitionId {
        self.with_part(place, |machine, part| machine.open_partition(part).expect("numbers are left"))
    }

    /// What a handle there takes for granted.
    fn policy(&self, place: &Place) -> Policy {
        let cache = said(&self.case, "cache");
        let inner = said(cache, "namespaces");
        let root = Policy::DEFAULT.patched(&script::patch(cache));
        place.namespaces.iter().fold(root, |outer, name| outer.patched(&script::patch(said(inner, name))))
    }

    fn event(&mut self, event: &str, place: &Place, key: &str, rest: &str) {
        if list(&self.case, "hooks").contains(&json!(event)) {
            let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
            self.log.events.push(format!("{event} {key}{rest}{place}"));
        }
    }

    fn drain_removals(&mut self) {
        while let Some(Removal { slot, cause, key_removed }) = self.machine.poll_removal() {
            self.gone(slot, cause);
            if key_removed && let Some(name) = self.names.remove(&slot) {
                self.slots.remove(&name);
            }
        }
    }

    fn drain(&mut self) {
        self.drain_removals();
        let now = self.now();
        while let Some(start) = self.machine.poll_start(now) {
            self.start(start);
        }
    }

    fn gone(&mut self, slot: Slot, cause: Option<RemovalCause>) {
        let (Some(Kept::Value(value)), Some(cause)) = (self.kept.remove(&slot), cause) else { return };
        let (place, key) = self.names[&slot].clone();
        self.event("evict", &place, &key, &format!("{} {}", show(&value), cause.as_str()));
        if cause == RemovalCause::Expired {
            self.event("expire", &place, &key, show(&value));
        }
    }

    fn put(&mut self, slot: Slot, place: &Place, key: &str, kept: Kept) {
        self.drain_removals();
        self.gone(slot, Some(RemovalCause::Replaced));
        self.names.insert(slot, (place.clone(), key.to_owned()));
        self.slots.insert((place.clone(), key.to_owned()), slot);
        let is_value = matches!(kept, Kept::Value(_));
        self.kept.insert(slot, kept);
        if is_value {
            self.event("insert", place, key, "");
        }
    }

    fn info(&self, slot: Slot) -> Option<Json> {
        let info = self.machine.info(slot, self.now())?;
        let mut tags = self.machine.tags_of(slot);
        tags.sort_unstable();
        let (state, ttl) = (info.state.as_str(), show_ttl(info.age.ttl));
        let (loading, age, bytes) = (info.loading, info.age.millis, info.weight);
        Some(json!({ "state": state, "loading": loading, "age": age, "ttl": ttl, "bytes": bytes, "tags": tags }))
    }

    /// Of the values that begin with these letters.
    fn delete_where(&mut self, place: &Place, letters: &str) -> Json {
        let (partition, now) = (self.partition(place), self.now());
        let mut slots = self.machine.usable(now);
        slots.retain(|slot| self.machine.is_in(*slot, partition));
        slots.retain(|slot| self.value(Some(*slot)).is_some_and(|value| show(value).starts_with(letters)));
        slots.iter().for_each(|slot| self.machine.remove(*slot));
        self.drain();
        json!(slots.len())
    }

    fn finds_refused(&self, slot: Option<Slot>) -> bool {
        let usable = slot.filter(|slot| self.machine.is_usable(*slot, self.now()));
        let validates = flag(said(&self.case, "cache"), "validate");
        validates && self.value(usable).is_some_and(|value| !script::is_valid(value))
    }

    fn fresh(&self, slot: Option<Slot>) -> Option<&Value> {
        self.value(slot.filter(|slot| self.machine.is_fresh(*slot, self.now())))
    }

    fn value(&self, slot: Option<Slot>) -> Option<&Value> {
        match self.kept.get(&slot?)? {
            Kept::Value(value) => Some(value),
            Kept::Error(_) => None,
        }
    }

    fn weigh(&self, said: &Json, value: &Value) -> Option<u32> {
        let by_length = said.get("bytes").is_none() && flag(script::said(&self.case, "cache"), "sizeOfLength");
        let weight = if by_length { Some(show(value).len() as u64) } else { number(said, "bytes") };
        weight.and_then(|weight| u32::try_from(weight).ok())
    }

    fn set(&mut self, step: &Json, place: Place, key: String, slot: Option<Slot>) -> Json {
        let (value, with) = (script::value(step, "to"), said(step, "with"));
        let weight = self.weigh(with, &value);
        if weight.is_none() && self.machine.limits().weighs() {
            return json!("ERR_BYTES");
        }
        let (policy, said, tags) = (self.policy(&place), script::patch(with), script::tags(with));
        let absent = value.is_none();
        let new = NewValue {
            hash: None,
            policy: &policy,
            said: &said,
            tags: [&tags, &[]],
            weight,
            absent,
            random: self.random(),
        };
        let (partition, now) = (self.partition(&place), self.now());
        let stored = self.machine.insert(slot, partition, now, &new);
        self.drain();
        if let Some(slot) = stored {
            self.put(slot, &place, &key, Kept::Value(value));
        }
        Json::Null
    }

    fn random(&self) -> f64 {
        1.0 - said(&self.case, "cache").get("random").and_then(Json::as_f64).unwrap_or(0.5)
    }

    fn get(&mut self, place: Place, key: String, slot: Option<Slot>) -> Json {
        let now = self.now();
        let touched = match slot {
            Some(slot) if self.finds_refused(Some(slot)) => self.machine.touch_invalid(slot),
            Some(slot) => self.machine.touch(slot, now),
            None => {
                let namespace = self.with_part(&place, |_, part| part.namespace);
                self.machine.miss(namespace, now);
                Touched::Miss(nearcache::core::MissCause::Absent)
            }
        };
        self.drain();
        match touched {
            Touched::Hit => {
                self.event("hit", &place, &key, "");
                json!(self.value(slot).expect("a hit has a value"))
            }
            Touched::Miss(cause) => {
                self.event("miss", &place, &key, cause.as_str());
                json!(NOTHING)
            }
        }
    }

    fn clear(&mut self, place: &Place) -> Json {
        if *place == Place::default() {
            for slot in self.machine.clear() {
                self.gone(slot, Some(RemovalCause::Removed));
            }
            self.kept.clear();
            self.names.clear();
            self.slots.clear();
        } else {
            self.with_part(place, |machine, part| machine.remove_within(part));
        }
        self.drain();
        Json::Null
    }
}

fn request_of(step: &Json) -> Option<String> {
    step.get("request").and_then(Json::as_str).map(str::to_owned)
}

/// How the beginning of a load is written down.
pub fn begun(name: &str, stale: &Option<Value>) -> String {
    stale.as_ref().map_or(name.to_owned(), |stale| format!("{name} stale={}", show(stale)))
}
