//! Write-throughs, and requests that die.

use super::*;

impl Bare {
    pub(super) fn update(&mut self, step: &Json, place: Place, caller: String) -> Json {
        let key = text(step, "key").to_owned();
        let with = said(step, "with").clone();
        let policy = self.policy(&place).patched(&script::patch(&with));
        let (partition, now, tags) = (self.partition(&place), self.now(), script::tags(&with));
        let slot = self.slots.get(&(place.clone(), key.clone())).copied();
        let weight = number(&with, "bytes").and_then(|bytes| u32::try_from(bytes).ok());
        let stale = self.value(slot.filter(|slot| self.machine.is_usable(*slot, now))).cloned();
        let may_vanish = self.case.get("mode") == Some(&json!("requests"));
        let write = WriteThrough {
            hash: None,
            slot,
            partition,
            now,
            policy: &policy,
            tags: &tags,
            weight,
            may_vanish,
            computes: false,
        };
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

    pub(super) fn end_write(&mut self, at: usize, step: &Json) -> Result<Json, String> {
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
        let new = LoadedValue { now, said: &patch, tags: &tags, weight, absent, skip, random: self.random(), age: 0 };
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
    pub(super) fn forsake(&mut self, at: usize, error: &str) {
        self.writes[at].left = true;
        let Write { ref caller, ref place, ref key, .. } = self.writes[at];
        let (caller, slot) = (caller.clone(), self.slots.get(&(place.clone(), key.clone())).copied());
        self.log.settles.insert(caller, json!({ "error": error }));
        self.log.aborts.push(self.writes[at].name.clone());
        let now = self.now();
        slot.into_iter().for_each(|slot| self.machine.write_left(slot, now));
        self.drain();
    }

    /// A request dies, with all that it began and waits for.
    pub(super) fn lose(&mut self, request: &str) -> Json {
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
}
