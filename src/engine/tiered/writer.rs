//! What is to be written to a tier in one turn is written together, and purges are told.

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::try_join;

use super::driver::Driver;
use super::turns::{Entries, Writing};
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tier::Put;
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

    /// Writes an entry soon, by this task.
    pub fn write(self: &Rc<Self>, put: Put, name: &Rc<str>, bytes: &Rc<[u8]>) -> Option<Rc<SharedTask<R>>> {
        let entry = TierEntry { name: name.clone(), bytes: bytes.clone(), ttl: Duration::from_millis(put.ttl) };
        let open = self.writing.get(put.tier)?;
        if let Some(writing) = open.borrow().as_ref().filter(|writing| !writing.task.is_over()) {
            // Where nothing runs by itself it may stay open for long.
            let most = self.stores.get(put.tier)?.options.machine.max_pending_bytes;
            if !writing.entries.borrow_mut().add(entry, most) {
                self.chain.borrow_mut().handle_skipped(put.tier, bytes.len());
                return None;
            }
            return Some(writing.task.clone());
        }
        let mut first = Entries::default();
        first.add(entry, usize::MAX);
        let entries = Rc::new(RefCell::new(first));
        let job = |driver| Self::write_all(driver, put.tier, entries.clone());
        let task = self.begin(self.longest(put.tier), job)?;
        *open.borrow_mut() = Some(Writing { entries, task: task.clone() });
        Some(task)
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

    /// How long a job at a tier takes at the most, in milliseconds, unless it is lost.
    fn longest(&self, tier: usize) -> u64 {
        self.timeout(tier).saturating_mul(2)
    }

    fn timeout(&self, tier: usize) -> u64 {
        self.stores.get(tier).map_or(0, |store| store.options.machine.timeout)
    }

    async fn write_all(driver: Weak<Self>, tier: usize, entries: Rc<RefCell<Entries>>) {
        let Some(strong) = Self::in_next_turn(driver.clone()).await else { return };
        let (stores, sleep) = (strong.stores.clone(), strong.sleep(strong.timeout(tier)));
        let Some((store, open)) = stores.get(tier).zip(strong.writing.get(tier)) else { return };
        drop(open.take());
        drop(strong);
        let Entries { all: entries, announced: bytes, .. } = entries.take();
        let written = Self::ends_within(sleep, store.tier.set_many(&entries)).await;
        let Some(driver) = driver.upgrade() else { return };
        let (now, values) = (driver.now(), entries.len() as u64);
        driver.chain.borrow_mut().handle_written(tier, now, values, bytes, written.err());
        driver.after_use();
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
            let call = try_join(store.tier.set_many(&marks), store.tier.delete_many(&delivery.deletes));
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
