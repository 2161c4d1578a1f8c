//! Isolates over the same stores, in one world, and a store that does as it is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nearcache::LoadError;
use nearcache::engine::Builder;
use nearcache::tiers::{MemoryTier, Tier, TierEntry, TierError, Tiered, Tiers};

use crate::common::{Virtual, World};

pub type Isolate = Tiered<String, String, Virtual<false>>;

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A world with some time behind it, and what was logged in it.
pub struct Edge {
    pub world: Rc<World>,
    pub lines: Rc<RefCell<Vec<String>>>,
}

impl Edge {
    pub fn new() -> Self {
        let world = Rc::<World>::default();
        world.advance(1_000_000);
        world.spawns.set(true);
        Self { world, lines: Rc::default() }
    }

    pub fn builder<K, V>(&self) -> Builder<K, V, Virtual<false>> {
        Builder::default().time_to_live(secs(60)).runtime(Virtual::<false>(self.world.clone()))
    }

    /// A chain whose clocks agree, and whose writes are never late.
    pub fn tiers(&self) -> Tiers {
        let lines = self.lines.clone();
        let log = move |line: &str| lines.borrow_mut().push(line.to_owned());
        Tiers::new().clock_skew(Duration::ZERO).late_writes(Duration::ZERO).log(log)
    }

    pub fn isolate(&self, store: &(impl Tier + Clone)) -> Isolate {
        self.tiers().tier(store.clone()).over(self.builder().build()).unwrap()
    }

    /// The value by a load that brings `value`, after which all that was begun has ended.
    pub fn get(&self, isolate: &Isolate, key: &str, value: &str) -> String {
        let value = value.to_owned();
        let got = self.world.run(isolate.try_get_with(key.to_owned(), async move |_| Ok::<_, LoadError>(value)));
        self.world.settle();
        got.unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Well,
    /// All it does fails.
    Down,
    /// Only writes fail.
    Full,
    /// It never answers.
    Hangs,
    /// It brings what nobody wrote.
    Lies,
    /// It brings too few answers.
    Short,
    /// It takes so many ms.
    Slow(u64),
}

/// A store in a mood, which counts its calls. Clones are the same.
#[derive(Clone)]
pub struct Moody {
    pub store: MemoryTier,
    pub mood: Rc<Cell<Mood>>,
    pub reads: Rc<RefCell<Vec<usize>>>,
    pub writes: Rc<Cell<usize>>,
    world: Rc<World>,
}

impl Moody {
    pub fn new(world: &Rc<World>) -> Self {
        let mood = Rc::new(Cell::new(Mood::Well));
        let store = MemoryTier::new().named("moody");
        Self { store, mood, reads: Rc::default(), writes: Rc::default(), world: world.clone() }
    }

    async fn mood(&self) -> Result<(), TierError> {
        match self.mood.get() {
            Mood::Down => Err("down".into()),
            Mood::Hangs => std::future::pending().await,
            Mood::Slow(millis) => {
                use nearcache::engine::Runtime;
                Virtual::<false>(self.world.clone()).sleep(millis).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn to_write(&self) -> Result<(), TierError> {
        self.writes.set(self.writes.get() + 1);
        if self.mood.get() == Mood::Full { Err("full".into()) } else { self.mood().await }
    }
}

impl Tier for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        self.store.get(name).await
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        self.store.set(entry).await
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        self.store.delete(name).await
    }

    async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, TierError> {
        self.reads.borrow_mut().push(names.len());
        self.mood().await?;
        match self.mood.get() {
            Mood::Lies => Ok(names.iter().map(|_| Some(b"rubbish".to_vec())).collect()),
            Mood::Short => Ok(Vec::new()),
            _ => self.store.get_many(names).await,
        }
    }

    async fn set_many(&self, entries: &[TierEntry]) -> Result<(), TierError> {
        self.to_write().await?;
        self.store.set_many(entries).await
    }

    async fn delete_many(&self, names: &[String]) -> Result<(), TierError> {
        self.to_write().await?;
        self.store.delete_many(names).await
    }
}
