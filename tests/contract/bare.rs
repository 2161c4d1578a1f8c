//! The thinnest driver: plain calls into the machine, and nothing at once. It says what the core has decided, so that
//! where the two faces differ it is known whose the fault is.

use std::collections::HashMap;

use nearcache::core::{
    Answer, Ask, Brought, Counted, Failure, FlightId, Machine, NewValue, Node, Outcome, Part, PartitionId, Removal,
    RemovalCause, Settled, Slot, Softened, StaleCause, Timers, Touched, WaitId, Wake, Who, WriteId, WriteThrough,
    join_scope,
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
    node: Node,
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
        Self {
            machine: Machine::new(limits, usual, Timers::Shared),
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
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn stats(&mut self, step: &Json) -> Json {
        let namespace = self.with_part(&Place::of(step), |_, part| part.namespace);
        let whole = Place::of(step).namespaces.is_empty() && Place::of(step).scopes.is_empty();
        let stats = if whole { self.machine.stats() } else { self.machine.namespace_stats(namespace) };
        script::figures(&stats, self.machine.loads_in_flight())
    }

    fn size(&mut self, step: &Json) -> usize {
        self.with_part(&Place::of(step), |machine, part| machine.held_within(part).entries as usize)
    }
}

pub fn is_operation(name: &str) -> bool {
    const OPERATIONS: [&str; 26] = [
        "peekStale",
        "info",
        "purgeStale",
        "deleteWhere",
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
        let root = Policy::USUAL.patched(&script::patch(cache));
        place.namespaces.iter().fold(root, |outer, name| outer.patched(&script::patch(said(inner, name))))
    }

    fn event(&mut self, event: &str, place: &Place, key: &str, rest: &str) {
        if list(&self.case, "hooks").contains(&json!(event)) {
            let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
            self.log.events.push(format!("{event} {key}{rest}{place}"));
        }
    }

    fn drain(&mut self) {
        while let Some(Removal { slot, cause, key_removed }) = self.machine.poll_removal() {
            self.gone(slot, cause);
            if key_removed && let Some(name) = self.names.remove(&slot) {
                self.slots.remove(&name);
            }
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
        self.drain();
        self.gone(slot, Some(RemovalCause::Replaced));
        self.names.insert(slot, (place.clone(), key.to_owned()));
        self.slots.insert((place.clone(), key.to_owned()), slot);
        self.kept.insert(slot, kept);
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
        said(&self.case, "cache").get("random").and_then(Json::as_f64).unwrap_or(0.5)
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

    fn ask(&mut self, step: &Json, asker: Option<usize>) -> Json {
        let place = Place::of(step);
        let policy = self.policy(&place).patched(&script::patch(said(step, "with")));
        self.waits.push(Wait {
            name: text(step, "ask").to_owned(),
            place,
            key: text(step, "key").to_owned(),
            step: step.clone(),
            asked_at: self.now(),
            policy,
            asker,
            load: usize::MAX,
            wait: None,
            counted: Counted::Miss,
            ended: false,
        });
        self.ask_now(self.waits.len() - 1, None);
        Json::Null
    }

    fn ask_now(&mut self, at: usize, again: Option<Counted>) {
        let Wait { ref place, ref key, ref step, asked_at, policy, asker, .. } = self.waits[at];
        let (place, key, step) = (place.clone(), key.clone(), step.clone());
        let (with, now) = (said(&step, "with"), self.now());
        let (partition, tags) = (self.partition(&place), script::tags(with));
        let slot = self.slots.get(&(place.clone(), key.clone())).copied();
        let weight = number(with, "bytes").and_then(|bytes| u32::try_from(bytes).ok());
        let asker = asker.map(|asker| Node::Flight(self.loads[asker].flight));
        let answer = self.machine.ask(&Ask {
            hash: None,
            slot,
            partition,
            now,
            asked_at,
            again,
            policy: &policy,
            tags: &tags,
            weight,
            force_fresh: flag(with, "forceFresh"),
            invalid: self.finds_refused(slot),
            background: true,
            detached: false,
            random: Some(1.0 - self.random()),
            asker,
        });
        self.drain();
        match answer {
            Answer::Hit(slot) => {
                self.event("hit", &place, &key, "");
                self.settle_with(at, slot, "hit");
            }
            Answer::Stale(slot, cause) => {
                self.event("stale", &place, &key, cause.as_str());
                self.settle_with(at, slot, "stale");
            }
            Answer::Refresh { slot, flight, stale } => {
                match stale {
                    true => self.event("stale", &place, &key, StaleCause::Revalidate.as_str()),
                    false => self.event("hit", &place, &key, ""),
                }
                self.settle_with(at, slot, if stale { "stale" } else { "hit" });
                self.begin(at, flight, Some(slot), true);
            }
            Answer::Failed(slot) => {
                self.event("hit", &place, &key, "");
                let Some(Kept::Error(error)) = self.kept.get(&slot) else { panic!("no error is kept") };
                let error = error.clone();
                self.settle(at, json!({ "error": error }));
            }
            Answer::Join(wait) => {
                self.event("coalesced", &place, &key, "");
                let load = self.loads.iter().position(|load| load.flight == wait.flight).expect("a load that began");
                self.waits[at].load = load;
                self.waits[at].wait = Some(wait);
                self.waits[at].counted = Counted::Coalesced;
            }
            Answer::Lead(slot, flight, cause) => {
                self.event("miss", &place, &key, cause.as_str());
                self.names.insert(slot, (place.clone(), key.clone()));
                self.slots.insert((place, key), slot);
                self.waits[at].load = self.loads.len();
                self.waits[at].wait = Some(WaitId { flight, group: 0 });
                self.waits[at].counted = Counted::Miss;
                self.begin(at, flight, Some(slot), false);
            }
            Answer::Recursive => self.settle(at, json!({ "error": "ERR_RECURSIVE_LOAD" })),
            Answer::TimedOut => self.settle(at, json!({ "error": "ERR_TIMEOUT" })),
            Answer::Full => self.settle(at, json!({ "error": "ERR_TOO_MANY_LOADS" })),
        }
        self.drain();
    }

    fn settle(&mut self, at: usize, mut end: Json) {
        if flag(&self.waits[at].step, "plain")
            && let Some(value) = end.get("value")
        {
            end = json!({ "value": value });
        }
        if !std::mem::replace(&mut self.waits[at].ended, true) {
            self.log.settles.insert(self.waits[at].name.clone(), end);
        }
    }

    fn settle_with(&mut self, at: usize, slot: Slot, status: &str) {
        let age = self.machine.age(slot, self.now()).expect("it may be handed out");
        let value = self.value(Some(slot)).expect("there is a value");
        let end = json!({ "value": value, "status": status, "age": age.millis, "ttl": show_ttl(age.ttl) });
        self.settle(at, end);
    }

    fn begin(&mut self, at: usize, flight: FlightId, slot: Option<Slot>, background: bool) {
        let Wait { ref place, ref key, ref step, .. } = self.waits[at];
        let (place, key, step) = (place.clone(), key.clone(), step.clone());
        let usable = slot.filter(|slot| self.machine.is_usable(*slot, self.now()));
        let stale = self.value(usable).cloned();
        let name = text(&step, "load").to_owned();
        let batched = name == "batch";
        let load = self.loads.len();
        if !batched {
            self.log.begins.push(begun(&name, &stale));
        }
        let (ended, told, with, request) = (false, None, said(&step, "with").clone(), request_of(&step));
        let (to, of) = (place.clone(), key.clone());
        self.loads.push(Load {
            name,
            place: to,
            key: of,
            flight,
            with,
            request,
            ended,
            background,
            told,
            stale,
            retry: None,
        });
        if batched {
            self.enter_batch(load, place, key);
        }
        for ask in list(&step, "asks") {
            self.ask(ask, Some(load));
        }
    }

    fn enter_batch(&mut self, load: usize, place: Place, key: String) {
        let options = said(said(&self.case, "cache"), "batch").clone();
        let most = number(&options, "maxBatchSize").map_or(usize::MAX, |most| most as usize);
        let room = Place { scopes: Vec::new(), ..place };
        let open = self.batches.iter().position(|batch| batch.name.is_none() && batch.place == room);
        let open = open.unwrap_or_else(|| {
            let closes_at = ttl(&options, "batchWindow").map(|window| self.now().after(window));
            let (began, node) = (self.now(), self.machine.new_batch());
            self.batches.push(Batch { name: None, place: room, keys: Vec::new(), closes_at, began, node });
            self.batches.len() - 1
        });
        self.machine.wait_for_batch(self.loads[load].flight, self.batches[open].node);
        let keys = &mut self.batches[open].keys;
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, loads)) => loads.push(load),
            None => keys.push((key, vec![load])),
        }
        if keys.len() >= most {
            self.close(open);
        }
    }

    fn close(&mut self, at: usize) {
        if self.batches[at].name.is_some() {
            return;
        }
        self.batch_names += 1;
        let name = format!("b{}", self.batch_names);
        let keys: Vec<&str> = self.batches[at].keys.iter().map(|(key, _)| key.as_str()).collect();
        self.log.begins.push(format!("{name}: {}", keys.join(" ")));
        let (place, count) = (self.batches[at].place.clone(), keys.len() as u64);
        let namespace = self.with_part(&place, |_, part| part.namespace);
        self.machine.count_batch(namespace, count);
        self.batches[at].name = Some(name);
        self.batches[at].began = self.now();
    }

    /// `bring` and `fail`.
    fn tell(&mut self, step: &Json, name: &str) -> Result<Json, String> {
        if let Some(batch) = self.batches.iter().position(|batch| batch.name.as_deref() == Some(name)) {
            return self.end_batch(batch, step);
        }
        if let Some(write) = self.writes.iter().position(|write| write.name == name && !write.ended) {
            return self.end_write(write, step);
        }
        let load = self.loads.iter().position(|load| load.name == name && !load.ended);
        let Some(load) = load else {
            let known = self.loads.iter().any(|load| load.name == name);
            let lenient = known || flag(&self.case, "figures");
            return if lenient { Ok(Json::Null) } else { Err(format!("no load {name}")) };
        };
        self.loads[load].told = Some(step.clone());
        self.end_if_told(load);
        Ok(Json::Null)
    }

    /// A load ends when it is told to and none of its own asks is under way.
    fn end_if_told(&mut self, load: usize) {
        let asks = self.waits.iter().any(|wait| wait.asker == Some(load) && !wait.ended);
        if let Some(step) = self.loads[load].told.take_if(|_| !asks) {
            self.end(load, &step);
        }
    }

    fn end(&mut self, load: usize, step: &Json) {
        self.end_as(load, step, false);
    }

    /// The delay of a load that has failed is over.
    fn try_again(&mut self, load: usize) {
        let Some((_, step)) = self.loads[load].retry.take() else { return };
        if !self.machine.may_try_again(self.loads[load].flight, self.now()) {
            return self.end_as(load, &step, true);
        }
        let (place, key) = (self.loads[load].place.clone(), self.loads[load].key.clone());
        if self.loads[load].name == "batch" {
            return self.enter_batch(load, place, key);
        }
        self.log.begins.push(begun(&self.loads[load].name, &self.loads[load].stale));
    }

    fn end_as(&mut self, load: usize, step: &Json, is_last: bool) {
        if self.loads[load].ended {
            return;
        }
        self.loads[load].ended = true;
        let (flight, now, said) = (self.loads[load].flight, self.now(), said(step, "say"));
        let brought = step.get("error").is_none().then(|| script::value(step, "value"));
        let validates = flag(script::said(&self.case, "cache"), "validate");
        let is_invalid = validates && brought.as_ref().is_some_and(|value| !script::is_valid(value));
        let brought = brought.filter(|_| !is_invalid);
        let or = if is_invalid { "ERR_INVALID" } else { "ERR_BYTES" };
        let error = step.get("error").and_then(Json::as_str).unwrap_or(or).to_owned();
        let patch = script::patch(said);
        let settled = match &brought {
            Some(value) => {
                // The caller's word wins over the sizer, the loader's over both.
                let weight = match number(&self.loads[load].with, "bytes") {
                    Some(_) => number(said, "bytes").and_then(|bytes| u32::try_from(bytes).ok()),
                    None => self.weigh(said, value),
                };
                let (tags, absent, skip) = (script::tags(said), value.is_none(), flag(said, "skip"));
                let random = self.random();
                let brought = Brought { now, said: &patch, tags: &tags, weight, absent, skip, random };
                self.machine.brought(flight, &brought)
            }
            None => {
                let may_retry = !is_last && !error.starts_with("final");
                let failure = Failure { now, backoff: patch.error_backoff, may_retry, random: self.random() };
                self.machine.failed(flight, &failure)
            }
        };
        self.drain();
        if let Outcome::RetryIn(millis) = settled.outcome {
            self.loads[load].ended = false;
            self.loads[load].retry = Some((now.after(Ttl::Millis(millis)), step.clone()));
            return;
        }
        let failed = brought.is_none() || settled.unknown_weight;
        let (place, key) = (self.loads[load].place.clone(), self.loads[load].key.clone());
        let mut again = Vec::new();
        while let Some(wait) = self.machine.poll_ask_again() {
            again.push(wait.group);
        }
        match settled.outcome {
            Outcome::Stored(slot) => {
                self.put(slot, &place, &key, Kept::Value(brought.clone().expect("a value was brought")));
            }
            Outcome::FailureCached(slot) => self.put(slot, &place, &key, Kept::Error(error.clone())),
            _ => {}
        }
        self.event_of_end(load, settled, failed.then_some(&error));
        if matches!(settled.outcome, Outcome::Rescued(_)) && !self.loads[load].background {
            self.event("stale", &place, &key, StaleCause::Error.as_str());
        }
        let waiting: Vec<usize> = (0..self.waits.len()).filter(|at| self.waits[*at].load == load).collect();
        for at in waiting.into_iter().filter(|at| !self.waits[*at].ended).collect::<Vec<_>>() {
            let wait = &self.waits[at];
            if wait.wait.is_some_and(|wait| again.contains(&wait.group)) {
                let counted = wait.counted;
                self.ask_now(at, Some(counted));
                continue;
            }
            let status = if wait.counted == Counted::Miss { "miss" } else { "coalesced" };
            match (settled.outcome, failed) {
                (Outcome::Rescued(slot), _) => self.settle_with(at, slot, "stale-if-error"),
                (Outcome::Stored(slot), _) if self.value(Some(slot)).is_some() => self.settle_with(at, slot, status),
                (_, true) => self.settle(at, json!({ "error": error })),
                (_, false) => {
                    self.settle(at, json!({ "value": brought.clone(), "status": status, "age": 0, "ttl": 0 }));
                }
            }
            if let Some(asker) = self.waits[at].asker {
                self.machine.waits_no_more(Some(Node::Flight(self.loads[asker].flight)), flight);
                self.end_if_told(asker);
            }
        }
    }

    fn event_of_end(&mut self, load: usize, settled: Settled, error: Option<&String>) {
        let Load { place, key, .. } = &self.loads[load];
        let (place, key) = (place.clone(), key.clone());
        let background = if settled.background { " background" } else { "" };
        let millis = settled.millis;
        match error {
            None => self.event("load", &place, &key, &format!("{millis}{background}")),
            Some(error) => self.event("error", &place, &key, &format!("{millis}{background} {error}")),
        }
    }

    fn end_batch(&mut self, at: usize, step: &Json) -> Result<Json, String> {
        let Batch { place, keys, began, node, .. } = &mut self.batches[at];
        let (place, began, node, keys) = (place.clone(), *began, *node, std::mem::take(keys));
        if keys.is_empty() {
            return Ok(Json::Null);
        }
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        self.machine.batch_ended(node);
        let whole = step.get("error").and_then(Json::as_str);
        let values = list(step, "values");
        let error = whole.or((values.len() != keys.len()).then_some("ERR_BATCH"));
        let millis = self.now().millis_since(began);
        let error_shown = error.map_or(String::new(), |error| format!(" {error}"));
        self.event("batch", &place, &names.join(","), &format!("{millis}{error_shown}"));
        for (at, (_, loads)) in keys.iter().enumerate() {
            let mut end = match (error, values.get(at)) {
                (Some(error), _) => json!({ "error": error }),
                (None, Some(Json::Object(failed))) => json!({ "error": failed["error"] }),
                (None, value) => json!({ "value": value }),
            };
            if let Some(say) = list(step, "say").get(at) {
                end["say"] = say.clone();
            }
            for load in loads {
                self.end(*load, &end);
            }
        }
        Ok(Json::Null)
    }

    fn update(&mut self, step: &Json, place: Place, caller: String) -> Json {
        let key = text(step, "key").to_owned();
        let with = said(step, "with").clone();
        let policy = self.policy(&place).patched(&script::patch(&with));
        let (partition, now, tags) = (self.partition(&place), self.now(), script::tags(&with));
        let slot = self.slots.get(&(place.clone(), key.clone())).copied();
        let weight = number(&with, "bytes").and_then(|bytes| u32::try_from(bytes).ok());
        let stale = self.value(slot.filter(|slot| self.machine.is_usable(*slot, now))).cloned();
        let may_vanish = self.case.get("mode") == Some(&json!("requests"));
        let write = WriteThrough { hash: None, slot, partition, now, policy: &policy, tags: &tags, weight, may_vanish };
        let (slot, id) = self.machine.begin_write(&write).expect("numbers are left");
        self.drain();
        self.names.insert(slot, (place.clone(), key.clone()));
        self.slots.insert((place.clone(), key.clone()), slot);
        let name = text(step, "write").to_owned();
        self.log.begins.push(begun(&name, &stale));
        let deadline = now.after(policy.hard_timeout);
        let (request, left, ended) = (request_of(step), false, false);
        self.writes.push(Write { caller, name, place, key, id, with, request, deadline, left, ended });
        Json::Null
    }

    fn end_write(&mut self, at: usize, step: &Json) -> Result<Json, String> {
        self.writes[at].ended = true;
        let Write { ref caller, ref place, ref key, id, ref with, left, .. } = self.writes[at];
        let (caller, place, key, with) = (caller.clone(), place.clone(), key.clone(), with.clone());
        let (said, now) = (said(step, "say"), self.now());
        let slot = self.slots.get(&(place.clone(), key.clone())).copied();
        let brought = step.get("error").is_none().then(|| script::value(step, "value"));
        let weight = brought.as_ref().and_then(|value| match number(&with, "bytes") {
            Some(_) => number(said, "bytes").and_then(|bytes| u32::try_from(bytes).ok()),
            None => self.weigh(said, value),
        });
        let unknown = weight.is_none() && number(&with, "bytes").is_none() && self.machine.limits().weighs();
        let (patch, tags, skip) = (script::patch(said), script::tags(said), flag(said, "skip"));
        let absent = brought == Some(None);
        let new = Brought { now, said: &patch, tags: &tags, weight, absent, skip, random: self.random() };
        let written = (brought.is_some() && !unknown).then_some(&new);
        let stored = self.machine.end_write(id, slot, now, written);
        self.drain();
        let end = match &brought {
            None => json!({ "error": text(step, "error") }),
            Some(_) if unknown && !skip => json!({ "error": "ERR_BYTES" }),
            Some(value) => json!({ "value": value }),
        };
        if let (Some(slot), Some(value)) = (stored, brought) {
            self.put(slot, &place, &key, Kept::Value(value));
        }
        if !left {
            self.log.settles.insert(caller, end);
        }
        Ok(Json::Null)
    }

    /// A writer's caller waits no more, and nobody will know what the source has.
    fn forsake(&mut self, at: usize, error: &str) {
        self.writes[at].left = true;
        let Write { ref caller, ref place, ref key, .. } = self.writes[at];
        let (caller, slot) = (caller.clone(), self.slots.get(&(place.clone(), key.clone())).copied());
        self.log.settles.insert(caller, json!({ "error": error }));
        self.log.aborts.push(self.writes[at].name.clone());
        slot.into_iter().for_each(|slot| self.machine.remove(slot));
        self.drain();
    }

    /// A request dies, with all that it began and waits for.
    fn lose(&mut self, request: &str) -> Json {
        let dies = |step: &Json| step.get("request").and_then(Json::as_str) == Some(request);
        for wait in self.waits.iter_mut().filter(|wait| dies(&wait.step)) {
            wait.ended = true;
        }
        for write in self.writes.iter_mut().filter(|write| write.request.as_deref() == Some(request)) {
            // Neither its end nor its deadline is ever told.
            write.left = true;
        }
        for load in 0..self.loads.len() {
            if self.loads[load].ended || self.loads[load].request.as_deref() != Some(request) {
                continue;
            }
            self.loads[load].ended = true;
            self.machine.lost(self.loads[load].flight);
            self.drain();
            for at in 0..self.waits.len() {
                let Wait { ended, load: of, counted, .. } = self.waits[at];
                if !ended && of == load {
                    self.ask_now(at, Some(counted));
                }
            }
        }
        Json::Null
    }

    fn leave(&mut self, name: &str) -> Result<Json, String> {
        if let Some(write) = self.writes.iter().position(|w| w.caller == name && !w.ended && !w.left) {
            self.forsake(write, "left");
            return Ok(Json::Null);
        }
        if let Some(at) = self.waits.iter().position(|wait| wait.name == name && !wait.ended) {
            self.leave_at(at);
        }
        Ok(Json::Null)
    }

    fn leave_at(&mut self, at: usize) {
        let Wait { wait, load, asker, .. } = self.waits[at];
        self.settle(at, json!({ "error": "left" }));
        let asker = asker.map(|asker| Node::Flight(self.loads[asker].flight));
        if wait.is_some_and(|wait| self.machine.leave(wait, Who::Caller(asker))) {
            self.abort(load);
        }
        self.drain();
        if let Some(asker) = self.waits[at].asker {
            self.end_if_told(asker);
        }
    }

    fn abort(&mut self, load: usize) {
        self.loads[load].ended = true;
        if self.loads[load].name != "batch" && self.loads[load].retry.take().is_none() {
            self.log.aborts.push(self.loads[load].name.clone());
        }
        for at in 0..self.waits.len() {
            if self.waits[at].asker == Some(load) && !self.waits[at].ended {
                self.leave_at(at);
            }
        }
    }

    fn advance(&mut self, millis: u64) -> Json {
        self.now += millis;
        let now = self.now();
        loop {
            let batch = (0..self.batches.len())
                .filter(|at| self.batches[*at].name.is_none())
                .filter_map(|at| Some((self.batches[at].closes_at?, at)))
                .min();
            let write = (0..self.writes.len())
                .filter(|at| !self.writes[*at].left && !self.writes[*at].ended)
                .map(|at| (self.writes[at].deadline, at))
                .min();
            let retry = (0..self.loads.len()).filter_map(|at| Some((self.loads[at].retry.as_ref()?.0, at))).min();
            let wait = self.machine.next_deadline();
            let times = [batch.map(|it| it.0), write.map(|it| it.0), retry.map(|it| it.0), wait];
            let Some(first) = times.into_iter().flatten().min().filter(|at| *at <= now) else { break };
            match (batch, write, retry) {
                (Some((at, batch)), ..) if at == first => self.close(batch),
                (_, Some((at, write)), _) if at == first => self.forsake(write, "ERR_TIMEOUT"),
                (.., Some((at, load))) if at == first => self.try_again(load),
                _ => self.ring(now),
            }
        }
        Json::Null
    }

    fn ring(&mut self, now: Timestamp) {
        let Some(wake) = self.machine.timeout(now) else { return };
        let (wait, timed_out) = match wake {
            Wake::Soft(wait) => (wait, None),
            Wake::TimedOut { wait, last } => (wait, Some(last)),
        };
        let load = self.loads.iter().position(|load| load.flight == wait.flight).expect("a load that began");
        let waiting: Vec<usize> =
            (0..self.waits.len()).filter(|at| self.waits[*at].wait == Some(wait) && !self.waits[*at].ended).collect();
        match timed_out {
            None => {
                let Load { place, key, .. } = &self.loads[load];
                let (place, key) = (place.clone(), key.clone());
                let slot = self.slots.get(&(place.clone(), key.clone())).copied();
                let softened = self.machine.soften(wait, waiting.len() as u32, slot, now, true);
                if let (true, Some(slot)) = (softened != Softened::No, slot) {
                    self.event("stale", &place, &key, StaleCause::Timeout.as_str());
                    for at in &waiting {
                        self.settle_with(*at, slot, "stale-on-timeout");
                    }
                    if softened == Softened::Ended {
                        self.abort(load);
                    }
                }
            }
            Some(last) => {
                for at in &waiting {
                    self.settle(*at, json!({ "error": "ERR_TIMEOUT" }));
                }
                if last {
                    self.abort(load);
                }
            }
        }
        self.drain();
        for at in waiting {
            if let (true, Some(asker)) = (self.waits[at].ended, self.waits[at].asker) {
                self.machine.waits_no_more(Some(Node::Flight(self.loads[asker].flight)), wait.flight);
                self.end_if_told(asker);
            }
        }
    }
}

fn request_of(step: &Json) -> Option<String> {
    step.get("request").and_then(Json::as_str).map(str::to_owned)
}

/// How the beginning of a load is written down.
pub fn begun(name: &str, stale: &Option<Value>) -> String {
    stale.as_ref().map_or(name.to_owned(), |stale| format!("{name} stale={}", show(stale)))
}
