//! Who asks, and loads that begin.

use super::*;

impl Bare {
    pub(super) fn ask(&mut self, step: &Json, asker: Option<usize>) -> Json {
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

    pub(super) fn ask_now(&mut self, at: usize, again: Option<Counted>) {
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
            batched: text(&step, "load") == "batch",
            random: Some(self.random()),
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
            Answer::StartLoad(slot, flight, cause) => {
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
            Answer::Refused(cause) => {
                self.event("miss", &place, &key, cause.as_str());
                self.settle(at, json!({ "error": "ERR_QUEUE_FULL" }));
            }
            Answer::Full => self.settle(at, json!({ "error": "ERR_TOO_MANY_LOADS" })),
        }
        self.drain();
    }

    pub(super) fn settle(&mut self, at: usize, mut end: Json) {
        if flag(&self.waits[at].step, "plain")
            && let Some(value) = end.get("value")
        {
            end = json!({ "value": value });
        }
        if !std::mem::replace(&mut self.waits[at].ended, true) {
            self.log.settles.insert(self.waits[at].name.clone(), end);
        }
    }

    pub(super) fn settle_with(&mut self, at: usize, slot: Slot, status: &str) {
        let age = self.machine.age(slot, self.now()).expect("it may be handed out");
        let value = self.value(Some(slot)).expect("there is a value");
        let end = json!({ "value": value, "status": status, "age": age.millis, "ttl": show_ttl(age.ttl) });
        self.settle(at, end);
    }

    pub(super) fn begin(&mut self, at: usize, flight: FlightId, slot: Option<Slot>, background: bool) {
        let Wait { ref place, ref key, ref step, .. } = self.waits[at];
        let (place, key, step) = (place.clone(), key.clone(), step.clone());
        let usable = slot.filter(|slot| self.machine.is_usable(*slot, self.now()));
        let stale = self.value(usable).cloned();
        let name = text(&step, "load").to_owned();
        let batched = name == "batch";
        let (load, queued) = (self.loads.len(), self.machine.is_queued(flight));
        if !batched && !queued {
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
            queued,
            asks: list(&step, "asks").to_vec(),
            retry: None,
        });
        if batched {
            self.enter_batch(load, place, key);
        }
        if !queued {
            self.ask_within(load);
        }
    }

    /// Each attempt asks anew.
    pub(super) fn ask_within(&mut self, load: usize) {
        for ask in self.loads[load].asks.clone() {
            self.ask(&ask, Some(load));
        }
    }

    /// The turn of a load or a batch has come.
    pub(super) fn start(&mut self, start: Start) {
        match start {
            Start::Load(flight, slot) => {
                let load = self.loads.iter().position(|load| load.flight == flight).expect("a load that was queued");
                let usable = slot.filter(|slot| self.machine.is_usable(*slot, self.now()));
                let stale = self.value(usable).cloned();
                self.log.begins.push(begun(&self.loads[load].name, &stale));
                self.loads[load].stale = stale;
                self.loads[load].queued = false;
                self.ask_within(load);
            }
            Start::Call(node) => {
                let batch = self
                    .batches
                    .iter()
                    .position(|batch| Node::Batch(batch.id) == node)
                    .expect("a batch that was queued");
                self.call(batch);
            }
        }
    }

    pub(super) fn enter_batch(&mut self, load: usize, place: Place, key: String) {
        let options = said(said(&self.case, "cache"), "batch").clone();
        let most = number(&options, "maxBatchSize").map_or(usize::MAX, |most| most as usize);
        let room = Place { scopes: Vec::new(), ..place };
        let open = self.batches.iter().position(|batch| batch.name.is_none() && !batch.queued && batch.place == room);
        let known = open.is_some_and(|open| self.batches[open].keys.iter().any(|(known, _)| *known == key));
        let window = ttl(&options, "batchWindow").map(|window| self.now().after(window).millis_since(self.now()));
        let joined = self.machine.join_batch(&JoinBatch {
            last: open.map(|open| self.batches[open].id),
            has: known,
            load: Some(self.loads[load].flight),
            limits: BatchLimits { max_size: u32::try_from(most).unwrap_or(u32::MAX), window },
            now: self.now(),
        });
        let open = open.filter(|_| !joined.is_new).unwrap_or_else(|| {
            let (began, id) = (self.now(), joined.batch);
            let closes_at = if let Goes::At(at) = joined.goes { Some(at) } else { None };
            let (name, keys, queued) = (None, Vec::new(), false);
            self.batches.push(Batch { name, place: room, keys, closes_at, began, id, queued });
            self.batches.len() - 1
        });
        let keys = &mut self.batches[open].keys;
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, loads)) => loads.push(load),
            None => keys.push((key, vec![load])),
        }
        if joined.goes == Goes::Now {
            self.close(open);
        }
    }

    pub(super) fn close(&mut self, at: usize) {
        if self.batches[at].name.is_some() || self.batches[at].queued {
            return;
        }
        self.machine.close_batch(self.batches[at].id);
        match self.machine.begin_call(Node::Batch(self.batches[at].id), self.now()) {
            CallTurn::Now => self.call(at),
            CallTurn::Later => self.batches[at].queued = true,
            CallTurn::Refused => {
                self.batches[at].name = Some("refused".to_owned());
                let loads = self.batches[at].keys.iter().flat_map(|(_, loads)| loads.clone()).collect::<Vec<_>>();
                self.machine.batch_ended(self.batches[at].id);
                for load in loads {
                    self.end(load, &json!({ "error": "ERR_QUEUE_FULL" }));
                }
            }
        }
    }

    fn call(&mut self, at: usize) {
        self.batches[at].queued = false;
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
}
