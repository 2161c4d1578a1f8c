//! Loads and waits that end.

use super::*;

impl Bare {
    /// `bring` and `fail`.
    pub(super) fn tell(&mut self, step: &Json, name: &str) -> Result<Json, String> {
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
    pub(super) fn end_if_told(&mut self, load: usize) {
        let asks = self.waits.iter().any(|wait| wait.asker == Some(load) && !wait.ended);
        if let Some(step) = self.loads[load].told.take_if(|_| !asks) {
            self.end(load, &step);
        }
    }

    pub(super) fn end(&mut self, load: usize, step: &Json) {
        self.end_as(load, step, false);
    }

    /// The delay of a load that has failed is over.
    pub(super) fn try_again(&mut self, load: usize) {
        let Some((_, step)) = self.loads[load].retry.take() else { return };
        if !self.machine.may_try_again(self.loads[load].flight, self.now()) {
            return self.end_as(load, &step, true);
        }
        let (place, key) = (self.loads[load].place.clone(), self.loads[load].key.clone());
        if self.loads[load].name == "batch" {
            return self.enter_batch(load, place, key);
        }
        self.log.begins.push(begun(&self.loads[load].name, &self.loads[load].stale));
        self.ask_within(load);
    }

    pub(super) fn end_as(&mut self, load: usize, step: &Json, is_last: bool) {
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
                let brought = LoadedValue { now, said: &patch, tags: &tags, weight, absent, skip, random, age: 0 };
                self.machine.brought(flight, &brought)
            }
            None => {
                let may_retry = !is_last && !error.starts_with("final");
                let failure = Failure { now, backoff: patch.error_backoff, may_retry, random: self.random() };
                self.machine.failed(flight, &failure)
            }
        };
        // What begins now may ask for what has just come.
        self.drain_removals();
        if let LoadOutcome::RetryIn(millis) = settled.outcome {
            self.loads[load].ended = false;
            self.loads[load].retry = Some((now.after(Ttl::Millis(millis)), step.clone()));
            return self.drain();
        }
        let failed = brought.is_none() || settled.unknown_weight;
        let (place, key) = (self.loads[load].place.clone(), self.loads[load].key.clone());
        let mut again = Vec::new();
        while let Some(wait) = self.machine.poll_ask_again() {
            again.push(wait.group);
        }
        match settled.outcome {
            LoadOutcome::Stored(slot) => {
                self.put(slot, &place, &key, Kept::Value(brought.clone().expect("a value was brought")));
            }
            LoadOutcome::FailureCached(slot) => self.put(slot, &place, &key, Kept::Error(error.clone())),
            _ => {}
        }
        self.event_of_end(load, settled, failed.then_some(&error));
        if matches!(settled.outcome, LoadOutcome::ServedStale(_)) && !self.loads[load].background {
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
                (LoadOutcome::ServedStale(slot), _) => self.settle_with(at, slot, "stale-if-error"),
                (LoadOutcome::Stored(slot), _) if self.value(Some(slot)).is_some() => {
                    self.settle_with(at, slot, status)
                }
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
        self.drain();
    }

    pub(super) fn event_of_end(&mut self, load: usize, settled: Settled, error: Option<&String>) {
        let Load { place, key, .. } = &self.loads[load];
        let (place, key) = (place.clone(), key.clone());
        let background = if settled.background { " background" } else { "" };
        let millis = settled.millis;
        match error {
            None => self.event("load", &place, &key, &format!("{millis}{background}")),
            Some(error) => self.event("error", &place, &key, &format!("{millis}{background} {error}")),
        }
    }

    pub(super) fn end_batch(&mut self, at: usize, step: &Json) -> Result<Json, String> {
        let Batch { place, keys, began, id, .. } = &mut self.batches[at];
        let (place, began, id, keys) = (place.clone(), *began, *id, std::mem::take(keys));
        if keys.is_empty() {
            return Ok(Json::Null);
        }
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        self.machine.batch_ended(id);
        let whole = step.get("error").and_then(Json::as_str);
        let values = list(step, "values");
        let error = whole.or((values.len() != keys.len()).then_some("ERR_BATCH"));
        let millis = self.now().millis_since(began);
        let error_shown = error.map_or(String::new(), |error| format!(" {error}"));
        self.event("batch", &place, &names.join(","), &format!("{millis}{error_shown}"));
        // In the order in which the loads came.
        let of_key = |(at, (_, loads)): (usize, &(String, Vec<usize>))| loads.iter().map(|load| (*load, at)).collect();
        let mut loads: Vec<(usize, usize)> =
            keys.iter().enumerate().flat_map(|key| -> Vec<_> { of_key(key) }).collect();
        loads.sort_unstable();
        for (load, at) in loads {
            let mut end = match (error, values.get(at)) {
                (Some(error), _) => json!({ "error": error }),
                (None, Some(Json::Object(failed))) => json!({ "error": failed["error"] }),
                (None, value) => json!({ "value": value }),
            };
            if let Some(say) = list(step, "say").get(at) {
                end["say"] = say.clone();
            }
            self.end(load, &end);
        }
        Ok(Json::Null)
    }

    pub(super) fn leave(&mut self, name: &str) -> Result<Json, String> {
        if let Some(write) = self.writes.iter().position(|w| w.caller == name && !w.ended && !w.left) {
            self.forsake(write, "left");
            return Ok(Json::Null);
        }
        if let Some(at) = self.waits.iter().position(|wait| wait.name == name && !wait.ended) {
            self.leave_at(at);
        }
        Ok(Json::Null)
    }

    pub(super) fn leave_at(&mut self, at: usize) {
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

    pub(super) fn abort(&mut self, load: usize) {
        self.loads[load].ended = true;
        let (queued, failed) = (self.loads[load].queued, self.loads[load].retry.take().is_some());
        if self.loads[load].name != "batch" && !failed && !queued {
            self.log.aborts.push(self.loads[load].name.clone());
        }
        for at in 0..self.waits.len() {
            if self.waits[at].asker == Some(load) && !self.waits[at].ended {
                self.leave_at(at);
            }
        }
    }

    pub(super) fn advance(&mut self, millis: u64) -> Json {
        self.now += millis;
        let now = self.now();
        loop {
            let batch = (0..self.batches.len())
                .filter(|at| self.batches[*at].name.is_none() && !self.batches[*at].queued)
                .filter_map(|at| Some((self.batches[at].closes_at?, at)))
                .min();
            let write = (0..self.writes.len())
                .filter(|at| !self.writes[*at].left && !self.writes[*at].ended)
                .map(|at| (self.writes[at].deadline, at))
                .min();
            let retry = (0..self.loads.len()).filter_map(|at| Some((self.loads[at].retry.as_ref()?.0, at))).min();
            let wait = self.machine.next_deadline();
            let purge = self.machine.next_purge();
            let times = [
                purge,
                self.machine.next_start(),
                batch.map(|it| it.0),
                write.map(|it| it.0),
                retry.map(|it| it.0),
                wait,
            ];
            let Some(first) = times.into_iter().flatten().min().filter(|at| *at <= now) else { break };
            match (batch, write, retry) {
                (Some((at, batch)), ..) if at == first => self.close(batch),
                (_, Some((at, write)), _) if at == first => self.forsake(write, "ERR_TIMEOUT"),
                (.., Some((at, load))) if at == first => self.try_again(load),
                // What waits for its turn and is overdue begins no more: it is for this to end it.
                _ if wait.is_some_and(|at| at <= now) => self.ring(now),
                _ if purge == Some(first) => {
                    self.machine.purge_due(now);
                    self.drain();
                }
                _ => self.drain(),
            }
        }
        Json::Null
    }

    pub(super) fn ring(&mut self, now: Timestamp) {
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
