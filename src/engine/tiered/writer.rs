//! What is to be written to a tier in one turn is written together, and purges are told.

use std::future::Future;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join;

use super::driver::Driver;
use super::turns::{Batch, NewBytes, Values, Writing};
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tiers::TierEntry;
use crate::time::{Timestamp, Ttl};

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    /// Purges that could not be told are told when there is an occasion, and what is worth a line in the log is logged.
    pub fn after_use(self: &Rc<Self>) {
        for tier in 0..self.stores.len() {
            self.deliver(tier);
        }
        loop {
            let event = self.chain.borrow_mut().poll_event();
            let Some(event) = event else { return };
            (self.log)(&self.line(event));
        }
    }

    /// Writes a value soon, by this task.
    pub fn write(self: &Rc<Self>, tier: usize, value: NewBytes) -> Option<Rc<SharedTask<R>>> {
        let before = self.outboxes.get(tier)?.borrow().before(&value.name, self.now());
        let Some(before) = before else { return self.add(tier, value) };
        let name = value.name.clone();
        self.overtaken(tier, before.batch.add_next(value));
        let waiting = self.outboxes.get(tier)?.borrow().waiting(&name);
        if waiting.is_some() {
            return waiting;
        }
        let task = self.begin(2 * self.longest(tier), |driver| Self::write_next(driver, tier, before, name.clone()))?;
        let old = self.outboxes.get(tier)?.borrow_mut().waits(name, task.clone());
        drop(old);
        Some(task)
    }

    fn add(self: &Rc<Self>, tier: usize, value: NewBytes) -> Option<Rc<SharedTask<R>>> {
        let (outbox, now, name) = (self.outboxes.get(tier)?, self.now(), value.name.clone());
        let open = outbox.borrow().open();
        let writing = match open {
            Some(writing) => {
                // Where nothing runs by itself it may stay open for long.
                let most = self.stores.get(tier)?.options.machine.max_pending_bytes;
                let added = writing.batch.values.borrow_mut().add(value, most);
                match added {
                    Ok(before) => self.overtaken(tier, before),
                    Err(value) => {
                        self.chain.borrow_mut().handle_skipped(tier, now, value.written(), value.bytes.len());
                        return None;
                    }
                }
                writing
            }
            None => {
                let batch = Batch::new(now.after(Ttl::Millis(self.longest(tier))));
                drop(batch.values.borrow_mut().add(value, usize::MAX));
                let task = self.begin(self.longest(tier), |driver| Self::write_all(driver, tier, batch.clone()))?;
                Writing { batch, task }
            }
        };
        let task = writing.task.clone();
        let old = outbox.borrow_mut().begun(name, writing, now);
        drop(old);
        Some(task)
    }

    fn overtaken(&self, tier: usize, value: Option<NewBytes>) {
        value.into_iter().for_each(|value| self.chain.borrow_mut().handle_overtaken(tier, value.bytes.len()));
    }

    /// Tells a tier what was purged, as far as it has not been told.
    pub fn deliver(self: &Rc<Self>, tier: usize) {
        let Some(told_by) = self.told_by.get(tier) else { return };
        let now = self.now();
        if now < told_by.get() || !self.chain.borrow().owes(tier) {
            return;
        }
        // In a Worker the one who tells may be gone with its request.
        told_by.set(if self.runs_by_itself() { now.after(Ttl::Millis(self.longest(tier))) } else { Timestamp::NEVER });
        self.begin(self.longest(tier), |driver| Self::tell(driver, tier));
    }

    /// How long a call of a tier takes at the most, from when it is to be made, in milliseconds, unless it is lost.
    fn longest(&self, tier: usize) -> u64 {
        self.timeout(tier).saturating_mul(2)
    }

    fn timeout(&self, tier: usize) -> u64 {
        self.stores.get(tier).map_or(0, |store| store.options.machine.timeout)
    }

    async fn write_all(driver: Weak<Self>, tier: usize, batch: Rc<Batch>) {
        let Some(strong) = Self::in_next_turn(driver.clone()).await else { return };
        let (stores, sleep) = (strong.stores.clone(), strong.sleep(strong.timeout(tier)));
        let Some((store, outbox)) = stores.get(tier).zip(strong.outboxes.get(tier)) else { return };
        let closed = outbox.borrow_mut().closed(&batch);
        drop((closed, strong));
        let Values { all: values, bytes, .. } = batch.values.take();
        let entries: Vec<_> = values.iter().map(NewBytes::entry).collect();
        let written = Self::ends_within(sleep, store.tier.set_many(&entries)).await;
        let Some(driver) = driver.upgrade() else { return };
        let Some(outbox) = driver.outboxes.get(tier) else { return };
        let (now, told): (_, Vec<_>) = (driver.now(), values.iter().map(NewBytes::written).collect());
        driver.chain.borrow_mut().handle_written(tier, now, &told, bytes, written.err());
        let ended = outbox.borrow_mut().ended(&batch, &values);
        drop(ended);
        driver.after_use();
    }

    /// Writes what comes after a write when that has ended, unless another who waited does.
    async fn write_next(driver: Weak<Self>, tier: usize, before: Writing<R>, name: Rc<str>) {
        let Some(strong) = driver.upgrade() else { return };
        let sleep = strong.sleep(before.batch.until.millis_since(strong.now()));
        drop(strong);
        Self::is_over(sleep, &before.task).await;
        let Some(strong) = driver.upgrade() else { return };
        let waited = strong.outboxes.get(tier).and_then(|outbox| outbox.borrow_mut().waits_no_more(&name));
        drop(waited);
        let next = before.batch.next.borrow_mut().remove(&name);
        let task = match next {
            Some(value) => strong.add(tier, value),
            None => strong
                .outboxes
                .get(tier)
                .and_then(|outbox| outbox.borrow().before(&name, strong.now()))
                .map(|last| last.task),
        };
        let sleep = strong.sleep(strong.longest(tier));
        drop(strong);
        if let Some(task) = task {
            Self::is_over(sleep, &task).await;
        }
    }

    async fn is_over(sleep: Option<impl Future<Output = ()>>, task: &SharedTask<R>) {
        let ended = task.join().map(Ok::<(), ()>);
        let _ = Self::ends_within(sleep, ended).await;
    }

    async fn tell(driver: Weak<Self>, tier: usize) {
        let Some(stores) = driver.upgrade().map(|driver| driver.stores.clone()) else { return };
        let Some(store) = stores.get(tier) else { return };
        let _telling = Telling { driver: &driver, tier };
        while let Some(strong) = driver.upgrade() {
            let now = strong.now();
            let delivery = strong.chain.borrow_mut().poll_delivery(tier, now);
            let Some(delivery) = delivery else { return };
            let until = now.after(Ttl::Millis(strong.longest(tier)));
            strong.told_by.get(tier).into_iter().for_each(|told_by| told_by.set(until));
            let sleep = strong.sleep(strong.timeout(tier));
            drop(strong);
            let ttl = Duration::from_millis(delivery.ttl);
            let mark = |(name, bytes): &(String, Vec<u8>)| TierEntry {
                name: name.as_str().into(),
                bytes: bytes.as_slice().into(),
                ttl,
            };
            let marks: Vec<_> = delivery.marks.iter().map(mark).collect();
            // Both at once: what is stored between the two is ended by the marks.
            let set = async { if marks.is_empty() { Ok(()) } else { store.tier.set_many(&marks).await } };
            let delete = async {
                if delivery.deletes.is_empty() { Ok(()) } else { store.tier.delete_many(&delivery.deletes).await }
            };
            let call = try_join(set, delete);
            let told = Self::ends_within(sleep, call).await.err();
            let Some(driver) = driver.upgrade() else { return };
            let now = driver.now();
            driver.chain.borrow_mut().handle_delivered(tier, now, &delivery, told);
            driver.after_use();
            if told.is_some() {
                return;
            }
        }
    }
}

/// Nobody tells a tier any more when this is dropped.
pub(super) struct Telling<'a, K: Hash + Eq + 'static, V: 'static, R: Runtime> {
    driver: &'a Weak<Driver<K, V, R>>,
    tier: usize,
}

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Drop for Telling<'_, K, V, R> {
    fn drop(&mut self) {
        let driver = self.driver.upgrade();
        if let Some(told_by) = driver.as_ref().and_then(|driver| driver.told_by.get(self.tier)) {
            told_by.set(Timestamp::default());
        }
    }
}
