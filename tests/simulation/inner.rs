//! Gets whose loaders ask for other keys of the cache, and who waits for whom.

use std::task::Poll;

use super::*;

/// A get, and what its loader will ask for itself.
pub struct Asked {
    pub key: u64,
    pub asked: Plan,
    pub said: Plan,
    pub options: CallOptions,
    pub timeout: u64,
    pub soft: u64,
    pub inner: Option<Box<Asked>>,
    /// It asks for that when it is told how to end, and not before.
    pub late: bool,
}

impl Asked {
    pub fn ask<const ALONE: bool>(self, views: Rc<[Sut<ALONE>]>, shared: Shared, world: Virtual<ALONE>) -> Waiting {
        Box::pin(async move {
            let Self { key, asked, said, options, timeout, inner, late, .. } = self;
            let cache = views[Model::view(key) as usize].clone();
            let (deadline, epoch) = (world.0.now() + timeout, shared.model.epoch(key));
            let load = move |ctx: LoadCtx<Value>| async move {
                let plan = said.or(&asked);
                let model = shared.model.clone();
                // Between its turn, where it had to wait for one, and now it may have been cut loose.
                let deadline = if model.refuses.get() && model.epoch(key) != epoch { 0 } else { deadline };
                let id = model.begin(key, &plan.tags, !plan.skip);
                let (promiser, promise) = promised();
                let noted = shared.load(vec![key], id, deadline, false, End::One(promiser));
                let epoch = model.epoch(key);
                // Rule 8 again: a loader may look into the cache.
                views[Model::view(key) as usize].peek(&(key / VIEWS));
                let (early, late) = if late { (None, inner) } else { (inner, None) };
                if let Some(inner) = early {
                    inner.ask_within(id, &noted, &views, &shared, &world).await;
                }
                let result = promise.await;
                if let Some(inner) = late {
                    inner.ask_within(id, &noted, &views, &shared, &world).await;
                }
                said.say(&ctx);
                let now = world.0.now();
                let is_due = result == Said::Value && now < deadline && model.epoch(key) == epoch;
                // One that had to wait for its turn may begin some time after that has come.
                if is_due && !model.refuses.get() && plan.is_stored(id) && !model.is_written(key) {
                    shared.due.borrow_mut().push(id);
                }
                settled(&model, &plan, key, id, now, result)
            };
            Ok(cache.try_get_with_details(key / VIEWS, options, load).await?.into())
        })
    }

    /// A loader asks, and goes on whatever comes of it.
    async fn ask_within<const ALONE: bool>(
        self,
        asker: u64,
        noted: &loads::Noted,
        views: &Rc<[Sut<ALONE>]>,
        shared: &Shared,
        world: &Virtual<ALONE>,
    ) {
        let key = self.key;
        let mut future = self.ask(views.clone(), shared.clone(), world.clone());
        let gets = &shared.gets[Model::view(key) as usize];
        more(gets);
        noted.asks.set(Some(Asks { key, load: None }));
        let mut asked = false;
        let answer = std::future::poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if !std::mem::replace(&mut asked, true) {
                match polled {
                    // One who asks again stays counted.
                    Poll::Ready(Err(LoadError::Recursive)) => gets.set(gets.get() - 1),
                    Poll::Ready(_) => {}
                    Poll::Pending => noted.asks.set(Some(Asks { key, load: shared.joinable(key, world.0.now()) })),
                }
            }
            polled
        })
        .await;
        match answer {
            Ok(Written { value, .. }) => assert_eq!(value.key, key, "somebody else's answer"),
            Err(LoadError::Recursive) => {
                more(&shared.seen.circles);
                // What a dead request's loaders wait for nobody knows.
                assert!(ALONE || shared.may_wait_for(key, asker), "load {asker} was refused {key} without a circle");
            }
            Err(_) => {}
        }
        noted.asks.set(None);
    }
}

impl Shared {
    /// The load that whoever asks for the key joins, if it has begun.
    fn joinable(&self, key: u64, now: u64) -> Option<u64> {
        let (loads, epoch) = (self.loads.borrow(), self.model.epoch(key));
        let is_of = |load: &&Load| load.keys == [key] && load.epochs == [epoch] && !load.is_write;
        loads.iter().find(|load| is_of(load) && !load.gone.get() && now < load.deadline).map(|load| load.id)
    }

    /// Whether a load of the key may wait for this one, by way of others.
    fn may_wait_for(&self, key: u64, asker: u64) -> bool {
        let loads = self.loads.borrow();
        let (mut next, mut seen) = (vec![key], HashSet::new());
        while let Some(key) = next.pop() {
            for load in loads.iter().filter(|load| load.keys.contains(&key) && !load.gone.get()) {
                if load.id == asker {
                    return true;
                }
                if seen.insert(load.id) {
                    next.extend(load.asks.get().map(|asks| asks.key));
                }
            }
        }
        false
    }

    /// Nobody waits for itself by way of others: who would is told at once.
    pub fn check_circles(&self, at: &str) {
        let loads = self.loads.borrow();
        let waits: HashMap<u64, u64> = loads
            .iter()
            .filter(|load| !load.gone.get())
            .filter_map(|load| Some((load.id, load.asks.get()?.load?)))
            .collect();
        for first in waits.keys() {
            let mut next = waits.get(first);
            for _ in 0..waits.len() {
                let Some(load) = next else { break };
                assert!(load != first, "load {load} waits for itself, {at}");
                next = waits.get(load);
            }
        }
    }
}
