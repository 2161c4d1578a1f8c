//! What may happen at a step.

use super::*;

impl<const ALONE: bool> Sim<ALONE> {
    pub fn get(&mut self, key: u64) {
        more(&self.shared.gets[Model::view(key) as usize]);
        if let Some(value) = self.view(key).get(&(key / VIEWS)) {
            self.shared.model.check_fresh(value, key, self.now(), &self.at());
        }
    }

    pub fn options(&mut self, plan: &Plan) -> (CallOptions, u64, u64) {
        let timeout = if self.random.one_in(4) { self.random.below(TIMEOUT) } else { TIMEOUT };
        let soft = if self.random.one_in(3) { self.random.below(40) } else { u64::MAX };
        let mut options = CallOptions::new().tags(plan.tags.iter().map(|tag| TAGS[*tag]));
        options.policy = plan.patch();
        if soft != u64::MAX {
            options = options.soft_timeout(Ttl::Millis(soft));
        }
        if timeout != TIMEOUT {
            options = options.hard_timeout(Ttl::Millis(timeout));
        }
        if self.random.one_in(5) {
            options = options.force_fresh();
        }
        (options, timeout, soft)
    }

    pub fn ask(&mut self, key: u64) {
        let asked = self.draw(key, 3);
        let Asked { timeout, soft, .. } = asked;
        let future = asked.ask(self.views.clone(), self.shared.clone(), self.world.clone());
        self.wait(future, key, timeout, soft, false);
    }

    /// What is asked for, and what its loader asks for in turn, at most so deep.
    fn draw(&mut self, key: u64, depth: u32) -> Asked {
        let (asked, said) = (Plan::draw(&mut self.random), Plan::draw(&mut self.random));
        let (options, timeout, soft) = self.options(&asked);
        let inner = (depth > 0 && self.random.one_in(3)).then(|| {
            let key = self.random.below(KEYS);
            Box::new(self.draw(key, depth - 1))
        });
        Asked { key, asked, said, options, timeout, soft, inner, late: self.random.one_in(2) }
    }

    /// One key of a batch, or all of a view's.
    pub fn ask_batch(&mut self, key: u64) {
        let view = Model::view(key);
        let batched = self.batched[view as usize].clone();
        if self.random.one_in(3) {
            // As `get_many` does, but so that each can be watched.
            for key in (0..KEYS).filter(|key| Model::view(*key) == view) {
                let batched = batched.clone();
                let future =
                    async move { Ok(batched.get_with_details(key / VIEWS, CallOptions::default()).await?.into()) };
                self.wait(Box::pin(future), key, TIMEOUT, u64::MAX, false);
            }
            return;
        }
        let (options, timeout, soft) = self.options(&NOTHING);
        let future = async move { Ok(batched.get_with_details(key / VIEWS, options).await?.into()) };
        self.wait(Box::pin(future), key, timeout, soft, false);
    }

    pub fn wait(&mut self, future: Waiting, key: u64, timeout: u64, soft: u64, is_write: bool) {
        let (asked_at, purges, request) = (self.now(), self.shared.model.purges(), self.world.0.request());
        if !is_write {
            more(&self.shared.gets[Model::view(key) as usize]);
        }
        let (flag, waker) = Flag::up();
        let (polled, busy_until, was_busy) = (false, 0, false);
        self.waits.push(Wait {
            future,
            key,
            asked_at,
            timeout,
            soft,
            purges,
            request,
            is_write,
            polled,
            flag,
            waker,
            busy_until,
            was_busy,
        });
    }

    pub fn update(&mut self, key: u64) {
        let plan = Plan { skip: false, ..Plan::draw(&mut self.random) };
        let (mut options, mut timeout, _) = self.options(&plan);
        if timeout == 0 {
            (options, timeout) = (options.hard_timeout(Ttl::Millis(1)), 1);
        }
        let model = self.shared.model.clone();
        let id = model.begin(key, &plan.tags, true);
        let (promiser, promise) = promised();
        let gone = self.shared.load(vec![key], id, 0, true, End::One(promiser));
        let mut told = Told { model: model.clone(), id, ends: None };
        let world = self.world.clone();
        let write = move |_: LoadCtx<Value>| async move {
            let _gone = gone;
            let result = promise.await;
            told.ends = (result == Said::Value).then(|| plan.ends(world.0.now(), Model::view(key)));
            drop(told);
            match result {
                Said::Value => Ok(Value { key, id }),
                Said::Error => Err(format!("load {id}")),
                Said::Panic => throw(),
            }
        };
        let cache = self.view(key).clone();
        let mut future: Waiting = Box::pin(async move {
            let value = cache.update_with_options(key / VIEWS, options, write).await?;
            Ok(Written { value, status: None })
        });
        model.begin_write(key, id);
        // At once, so that what else happens in this step comes after its beginning for both.
        assert!(poll_with(&mut future, Waker::noop()).is_none());
        self.wait(future, key, timeout, u64::MAX, true);
    }

    pub fn insert(&mut self, key: u64) {
        let plan = Plan::draw(&mut self.random);
        let model = self.shared.model.clone();
        model.remove(key, KEYS);
        let id = model.begin(key, &plan.tags, true);
        model.stored(id, plan.ends(self.now(), Model::view(key)));
        let mut options = EntryOptions::new().tags(plan.tags.iter().map(|tag| TAGS[*tag]));
        options.policy = plan.patch();
        self.view(key).insert_with(key / VIEWS, Value { key, id }, options);
    }

    pub fn purge_tag(&mut self, key: u64) {
        let view = Model::view(key);
        let tag = self.random.below(TAGS.len() as u64) as usize;
        let soft = self.random.one_in(2);
        match soft {
            true => self.view(key).expire_by_tag(TAGS[tag]),
            false => self.view(key).remove_by_tag(TAGS[tag]),
        };
        self.shared.model.purge_tag(tag, |key| is_within(Model::view(key), view), soft.then_some(self.now()));
    }

    /// In wasm, where requests die, a panic would end the instance.
    pub const PANICS: bool = !ALONE && cfg!(panic = "unwind");

    /// Ends a load, one way or the other; some never end.
    pub fn settle(&mut self) {
        let loads = self.shared.loads.borrow();
        let open: Vec<&Load> = loads.iter().filter(|load| !load.gone.get() && load.id % 11 != 0).collect();
        if open.is_empty() {
            return;
        }
        let load = open[self.random.below(open.len() as u64) as usize];
        let said = |random: &mut Random| match random.below(24) {
            0 if Self::PANICS => Said::Panic,
            0..8 => Said::Error,
            _ => Said::Value,
        };
        match &load.end {
            End::One(promiser) => promiser.say(said(&mut self.random)),
            End::Many(promiser, ids) => {
                let short = usize::from(self.random.one_in(6));
                let all = ids.iter().skip(short).map(|_| said(&mut self.random));
                promiser.say(all.collect());
            }
        }
    }

    /// A waiter is dropped, or its request dies with all that it runs.
    pub fn abandon(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let index = self.random.below(self.waits.len() as u64) as usize;
        let wait = self.waits.swap_remove(index);
        if !wait.polled {
            // It has not asked yet, and never will.
            self.never_asked(&wait);
        }
        if !(ALONE && wait.polled && self.random.one_in(2)) {
            return;
        }
        self.world.0.kill(wait.request);
        for load in self.shared.loads.borrow().iter().filter(|load| load.request == wait.request) {
            load.gone.set(true);
        }
        let (killed, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waits).into_iter().partition(|other| other.request == wait.request);
        self.waits = rest;
        std::mem::forget(wait.future);
        for other in killed {
            if !other.polled {
                self.never_asked(&other);
            }
            std::mem::forget(other.future);
        }
    }

    fn never_asked(&self, wait: &Wait) {
        let gets = &self.shared.gets[Model::view(wait.key) as usize];
        gets.set(gets.get() - u64::from(!wait.is_write));
    }
}
