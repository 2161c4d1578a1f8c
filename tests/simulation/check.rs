//! The rules that hold after each step.

use super::*;

impl<const ALONE: bool> Sim<ALONE> {
    pub fn collect(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.retain_mut(|wait| {
            // Who has been polled is polled again when it is woken, and now and then for nothing, unless its executor is
            // busy.
            let (for_nothing, gets_busy) = (self.random.one_in(20), self.random.one_in(40));
            if wait.polled && (self.step < wait.busy_until || !for_nothing && !wait.flag.take()) {
                return true;
            }
            wait.flag.take();
            self.enter(wait.request);
            let first = !std::mem::replace(&mut wait.polled, true);
            if gets_busy {
                (wait.busy_until, wait.was_busy) = (self.step + self.random.below(40), true);
            }
            let hits = first.then(|| self.view(wait.key).stats().hits);
            let Some(polled) = caught(|| poll_with(&mut wait.future, &wait.waker)) else {
                more(&self.shared.seen.panics);
                return false;
            };
            let Some(result) = polled else { return true };
            let from_memory = hits.is_some_and(|hits| self.view(wait.key).stats().hits > hits);
            self.check_result(wait, from_memory, result);
            false
        });
        self.waits = waits;
    }

    pub fn check_result(&self, wait: &Wait, from_memory: bool, result: Answer) {
        let (at, now, model, key) = (self.at(), self.now(), &self.shared.model, wait.key);
        let waited = now - wait.asked_at;
        match result {
            Ok(Written { value, status: None }) => assert_eq!(value.key, key, "somebody else's answer, {at}"),
            Ok(Written { value, status: Some(status) }) => match status {
                Status::Hit => model.check_fresh(value, key, now, &at),
                Status::Stale => model.check_stale(value, key, now, &at),
                Status::Miss | Status::Coalesced => model.check_loaded(value, key, wait.purges, &at),
                Status::StaleIfError => {
                    // Who comes late was handed it some time after it asked.
                    let then = if wait.was_busy { wait.asked_at } else { self.then };
                    model.check_last_good(value, key, then, wait.purges, true, &at);
                }
                Status::StaleOnTimeout => {
                    assert!(waited >= wait.soft, "too soft, {at}");
                    model.check_last_good(value, key, now, model.purges(), false, &at);
                }
                other => panic!("unknown status {other:?}, {at}"),
            },
            Err(LoadError::TimedOut { after_millis }) => {
                assert_eq!(after_millis, wait.timeout);
                assert!(waited >= wait.timeout, "timed out too early, {at}");
                if wait.is_write {
                    model.remove(key, KEYS);
                }
            }
            Err(LoadError::Loader(error)) => {
                let text = error.to_string();
                let id = text.strip_prefix("load ").and_then(|id| id.parse().ok()).expect("a load's own error");
                if from_memory {
                    model.check_failure(id, key, now, &at);
                }
            }
            Err(LoadError::Batch { keys, results }) => assert_eq!(keys, results + 1, "{at}"),
            Err(LoadError::QueueFull { .. }) => assert_eq!(self.seed % 3, 1, "refused without a limit, {at}"),
            // Its loader was lost while somebody else drove it.
            Err(LoadError::Lost) => assert!(self.shared.seen.panics.get() > 0, "lost without a panic, {at}"),
            Err(other) => panic!("{other}, request {} write {}, {at}", wait.request, wait.is_write),
        }
    }

    pub fn check(&mut self) {
        let at = self.at();
        // Rule 1: one live load a key, unless it was cut loose or its leader gave it up at its deadline.
        let mut loads = self.shared.loads.borrow_mut();
        loads.retain(|load| !load.gone.get());
        let mut live: HashMap<(u64, u64), u32> = HashMap::new();
        for load in loads.iter().filter(|load| self.now() < load.deadline && !load.is_write) {
            for (key, epoch) in load.keys.iter().zip(&load.epochs) {
                *live.entry((*key, *epoch)).or_default() += 1;
            }
        }
        for load in loads.iter().filter(|load| self.now() < load.deadline && !load.is_write) {
            if load.keys.iter().zip(&load.epochs).any(|(key, epoch)| live[&(*key, *epoch)] > 1) {
                eprintln!(
                    "load {} of {:?} {:?} request {} deadline {}, now {}",
                    load.id,
                    load.keys,
                    load.epochs,
                    load.request,
                    load.deadline,
                    self.now()
                );
            }
        }
        drop(loads);
        assert!(live.values().all(|count| *count == 1), "two live loads of a key, {at}");
        if !ALONE {
            self.shared.check_circles(&at);
        }
        // What may be stored is, and whoever takes it away says so.
        for id in self.shared.due.take() {
            if let Some(key) = self.shared.model.stored_for(id) {
                more(&self.shared.seen.stored);
                let found = self.view(key).peek(&(key / VIEWS)) == Some(Value { key, id });
                assert!(found || self.shared.gone.borrow().contains(&id), "value {id} of {key} was not stored, {at}");
            }
        }
        // Rule 2: nobody waits past its deadline.
        for wait in self.waits.iter().filter(|wait| self.step >= wait.busy_until) {
            assert!(self.now() - wait.asked_at < wait.timeout.max(1), "still waiting, {at}");
        }
        // Rule 5.
        let cache = &self.views[0];
        assert!(cache.len() as u64 <= MAX_ENTRIES && cache.weight() <= MAX_BYTES, "out of bounds, {at}");
        let mut weight = 0;
        for (view, cache) in self.views.iter().enumerate() {
            for (key, value) in cache.iter() {
                self.shared.model.check_fresh(value, key * VIEWS + view as u64, self.now(), &at);
                weight += value.id % 23;
            }
        }
        assert!(cache.weight() >= weight, "{at}");
        // Rule 7, for every get that has been polled.
        let stats = cache.stats();
        let gets = |view: usize| self.shared.gets[view].get();
        assert_eq!(stats.gets(), (0..VIEWS as usize).map(gets).sum::<u64>(), "{at}");
        assert_eq!(self.views[1].stats().gets(), gets(1) + gets(2), "of the namespace, {at}");
        let held = |view: usize| self.views[view].len();
        assert!(
            held(0) >= held(1).max(held(3)) && held(1).min(held(3)) >= held(2),
            "parts are larger than the whole, {at}"
        );
        let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
        assert!(stats.inserts - gone <= cache.len() as u64, "{at}");
        assert_eq!(gone, self.heard.get(), "the plugin missed something, {at}");
    }

    pub fn check_empty(&self) {
        let stats = self.views[0].stats();
        let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
        assert_eq!((self.views[0].len(), stats.inserts), (0, gone), "{}", self.at());
    }

    /// In the end everyone settles, and nothing is left of the loads.
    pub fn finish(mut self) {
        self.world.0.advance(TIMEOUT + 1);
        // Everybody is free again.
        self.step += 1_000;
        for _ in 0..4 {
            self.run_tasks();
            self.collect();
        }
        assert!(self.waits.is_empty(), "somebody hangs, {}", self.at());
        // What waits in the background since a moment ago.
        self.world.0.advance(TIMEOUT + 1);
        self.run_tasks();
        // Rule 9: what was lost or abandoned is cleaned up, here by the sweep.
        if ALONE {
            (0..100).for_each(|_| self.views[0].sweep(1));
        }
        assert_eq!(self.views[0].loads_in_flight(), 0, "a load outlived its waiters, {}", self.at());
        self.views[0].clear();
        self.check_empty();
        if !ALONE {
            // Where requests die, what they left behind is never dropped.
            let (at, witness, loads) = (self.at(), self.witness.clone(), self.shared.loads.clone());
            self.itself.take();
            drop(self);
            assert!(loads.borrow().iter().all(|load| load.gone.get()), "a load outlived its cache, {at}");
            assert!(witness.upgrade().is_none(), "a cache outlived its handles, {at}");
        }
    }
}
