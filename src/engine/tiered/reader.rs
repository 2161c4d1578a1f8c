//! Keys that are asked for in one turn are read together, tier by tier.

use std::hash::Hash;
use std::rc::{Rc, Weak};

use hashbrown::HashMap;

use super::driver::Driver;
use super::turns::{FinishedRead, Group, NewBytes, ReadRequest, Reading, TierValue};
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tier::{Failure, Promotion, Read, ReadOutcome, Step, Written};

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    /// What the tiers have of a key. `refresh`: stale values are no answer, since that is what there is already.
    pub async fn read(self: &Rc<Self>, asked: ReadRequest, refresh: bool) -> Option<TierValue> {
        let (group, task, item) = self.join_reading(asked, refresh)?;
        task.join().await;
        let ended = group.ended.get()?;
        let now = self.now();
        let (found, is_answer) = match ended.read.outcome(&self.chain.borrow(), now, item) {
            ReadOutcome::Answer(found) => (found.clone(), true),
            ReadOutcome::Load(found) => (found?.clone(), false),
        };
        let bytes = ended.bytes(found.tier, item)?;
        Some(TierValue { found, is_answer, bytes })
    }

    fn join_reading(
        self: &Rc<Self>,
        asked: ReadRequest,
        refresh: bool,
    ) -> Option<(Rc<Group>, Rc<SharedTask<R>>, usize)> {
        let mut open = self.reading.get(usize::from(refresh))?.try_borrow_mut().ok()?;
        if open.as_ref().is_none_or(|reading| reading.task.is_over()) {
            let group = Rc::<Group>::default();
            let inner = self.inner.upgrade()?;
            let task = Self::read_group(Rc::downgrade(self), group.clone(), refresh);
            let task = Rc::new(SharedTask::new(&inner.runtime, Box::pin(task)));
            *open = Some(Reading { group, task });
        }
        let Reading { group, task } = open.as_ref()?;
        let mut all = group.asked.borrow_mut();
        all.push(asked);
        Some((group.clone(), task.clone(), all.len() - 1))
    }

    async fn read_all(self: &Rc<Self>, asked: Vec<ReadRequest>, refresh: bool) -> FinishedRead {
        let mut read = Read::new(asked.into_iter().map(|ReadRequest { place, key }| (place, key)), refresh);
        let mut brought: Vec<_> = self.stores.iter().map(|_| HashMap::new()).collect();
        loop {
            let now = self.now();
            let (tier, names, timeout) = match read.poll(&mut self.chain.borrow_mut(), now) {
                Step::Get { tier, names, timeout } => (tier, names.to_vec(), timeout),
                Step::Done => break,
            };
            let Some(store) = self.stores.get(tier) else { break };
            let answers = self.within(timeout, store.tier.get_many(&names)).await;
            let now = self.now();
            match answers {
                Ok(answers) => {
                    read.handle_answers(&mut self.chain.borrow_mut(), now, &answers);
                    let found = names.into_iter().zip(answers);
                    let found = found.filter_map(|(name, bytes)| Some((name, Rc::from(bytes?))));
                    brought.get_mut(tier).into_iter().for_each(|all: &mut HashMap<_, _>| all.extend(found.clone()));
                }
                Err(failure) => read.handle_failure(&mut self.chain.borrow_mut(), now, failure),
            }
            self.after_use();
        }
        let ended = FinishedRead { read, brought };
        self.copy_upwards(&ended);
        ended
    }

    fn copy_upwards(self: &Rc<Self>, ended: &FinishedRead) {
        let now = self.now();
        let promotions = ended.read.promotions(&mut self.chain.borrow_mut(), now);
        for Promotion { item, put, bytes: weight } in promotions {
            let found = match ended.read.outcome(&self.chain.borrow(), now, item) {
                ReadOutcome::Answer(found) => Some((found.tier, found.generation)),
                ReadOutcome::Load(_) => None,
            };
            let name = ended.read.name(item).unwrap_or_default();
            let bytes = found.and_then(|(tier, generation)| Some((ended.bytes(tier, item)?, generation)));
            let Some((bytes, generation)) = bytes else {
                // What is announced is to end.
                let value = Written { name, generation: now, number: None, replaces: false };
                self.chain.borrow_mut().handle_written(put.tier, now, &[value], weight, Some(Failure::Error));
                continue;
            };
            let name = name.into();
            self.write(put.tier, NewBytes { name, bytes, ttl: put.ttl, generation, number: None, replaces: false });
        }
    }

    async fn read_group(driver: Weak<Self>, group: Rc<Group>, refresh: bool) {
        let Some(driver) = Self::in_next_turn(driver).await else { return };
        let open = driver.reading.get(usize::from(refresh)).and_then(|open| open.take());
        drop(open);
        let asked = group.asked.take();
        let ended = driver.read_all(asked, refresh).await;
        let _ = group.ended.set(ended);
    }
}
