//! Isolates over the same stores, in one world.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::Builder;
use nearcache::tiers::{MemoryTier, Tier, TierEntry, TierError, TierOptions, Tiered, Tiers};
use nearcache::{Cache, CallOptions, LoadCtx, LoadError, ManualClock};

use crate::common::{Virtual, World};

pub type Text = Tiered<String, String, Virtual<false>>;

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn key(key: &str) -> String {
    key.to_owned()
}

/// A world, a store, and what was logged.
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

    pub fn builder(&self) -> Builder<String, String, Virtual<false>> {
        Cache::builder().time_to_live(secs(60)).runtime(Virtual::<false>(self.world.clone()))
    }

    /// A chain whose clocks agree, and whose writes are never late.
    pub fn tiers(&self) -> Tiers {
        let lines = self.lines.clone();
        let log = move |line: &str| lines.borrow_mut().push(line.to_owned());
        Tiers::new().clock_skew(Duration::ZERO).late_writes(Duration::ZERO).log(log)
    }

    pub fn isolate(&self, store: &impl_clone!(Tier)) -> Text {
        self.tiers().tier(store.clone()).over(self.builder().build()).unwrap()
    }
}
