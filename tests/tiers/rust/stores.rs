//! The stores that come with the crate do what is wanted of a tier, and the checks find those that don't.

use std::cell::Cell;
use std::rc::Rc;

use nearcache::ManualClock;
use nearcache::engine::Runtime;
use nearcache::tiers::conformance::{self, Options};
use nearcache::tiers::{MemoryTier, Tier, TierEntry, TierError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::Virtual;
use crate::support::{Edge, Isolate, millis};

fn failures(tier: &impl Tier, options: Options) -> Vec<String> {
    let checks = futures::executor::block_on(conformance::test(tier, options));
    assert_eq!(checks.len(), 10);
    checks.into_iter().filter_map(|check| Some(format!("{}: {}", check.title, check.error?))).collect()
}

#[test]
fn a_memory_tier_does_what_is_wanted_of_a_tier() {
    let clock = ManualClock::new();
    let options = Options::new().shortest_ttl(millis(50)).sleep({
        let clock = clock.clone();
        move |time| {
            clock.advance(time);
            std::future::ready(())
        }
    });
    assert_eq!(failures(&MemoryTier::new().clock(clock), options), [""; 0]);
}

#[test]
fn a_memory_tier_keeps_its_bound_and_lets_the_oldest_go() {
    let tier = MemoryTier::new().max_bytes(100);
    let set = |name: &str, bytes: usize| {
        let entry = TierEntry { name: name.into(), bytes: vec![0; bytes].into(), ttl: millis(1_000) };
        futures::executor::block_on(tier.set(&entry)).unwrap();
    };
    let has = |name| futures::executor::block_on(tier.get(name)).unwrap().is_some();
    ["a", "b", "c"].into_iter().for_each(|name| set(name, 30));
    set("a", 31);
    assert_eq!((has("a"), has("b"), has("c")), (true, true, true));
    set("d", 20);
    assert_eq!((has("a"), has("b"), has("c"), has("d")), (true, false, true, true));
    set("a", 100);
    assert!(!has("a") && has("c"), "one that is larger than all");
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn a_file_tier_does_what_is_wanted_of_a_tier_and_sweeps() {
    use nearcache::tiers::FileTier;
    let folder = std::env::temp_dir().join(format!("nearcache-{}", std::process::id()));
    let tier = FileTier::new(&folder);
    // This one waits for a quarter of a second, since files know no other time.
    assert_eq!(failures(&tier, Options::new().shortest_ttl(millis(50))), [""; 0]);
    futures::executor::block_on(async {
        for (name, ttl) in [("ended", 1), ("alive", 60_000)] {
            let entry = TierEntry { name: name.into(), bytes: [1].into(), ttl: millis(ttl) };
            tier.set(&entry).await.unwrap();
        }
        while tier.sweep().unwrap() == 0 {}
        assert_eq!((tier.sweep().unwrap(), tier.get("alive").await.unwrap()), (0, Some(vec![1])));
    });
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn a_file_tier_s_reads_remove_nothing_that_another_may_have_written_anew() {
    use nearcache::tiers::FileTier;
    let folder = std::env::temp_dir().join(format!("nearcache-reads-{}", std::process::id()));
    let tier = FileTier::new(&folder);
    let files = || {
        let folders = std::fs::read_dir(&folder).unwrap();
        folders.map(|one| std::fs::read_dir(one.unwrap().path()).unwrap().count()).sum::<usize>()
    };
    futures::executor::block_on(async {
        tier.set(&TierEntry { name: "ended".into(), bytes: [1].into(), ttl: millis(0) }).await.unwrap();
        assert_eq!((tier.get("ended").await.unwrap(), files()), (None, 1));
        assert_eq!((tier.sweep().unwrap(), files()), (1, 0));
    });
    std::fs::remove_dir_all(folder).unwrap();
}

/// Keeps the first value.
struct First(MemoryTier);

impl Tier for First {
    fn name(&self) -> &str {
        "first"
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        self.0.get(name).await
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        match self.0.get(&entry.name).await? {
            None => self.0.set(entry).await,
            Some(_) => Err("taken".into()),
        }
    }

    async fn delete(&self, _: &str) -> Result<(), TierError> {
        Ok(())
    }

    /// Without what is not there.
    async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, TierError> {
        Ok(self.0.get_many(names).await?.into_iter().filter(Option::is_some).collect())
    }
}

#[test]
fn the_checks_find_what_is_wrong() {
    let found = failures(&First(MemoryTier::new()), Options::new());
    let titles: Vec<_> = found.iter().filter_map(|found| found.split_once(": ")).map(|(title, _)| title).collect();
    let wanted = [
        "the last of two values stays",
        "what was deleted is gone; what is not there can be deleted",
        "many names at once come in their order, absent ones and the same one twice among them",
        "many are stored and deleted at once",
    ];
    assert_eq!(titles, wanted);
}

/// A store whose second write of a call is quicker than its first.
#[derive(Clone)]
struct Hasty(MemoryTier, Virtual<false>, Rc<Cell<u64>>);

impl Tier for Hasty {
    fn name(&self) -> &str {
        "hasty"
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        self.0.get(name).await
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        self.2.set(self.2.get() + 1);
        self.1.sleep(50 / self.2.get()).await;
        self.0.set(entry).await
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        self.0.delete(name).await
    }
}

/// The symptom: which of two values that were inserted in one turn was left in a tier was the store's to choose, and a store that refuses to
/// write a name twice in one call got neither.
#[test]
fn of_two_values_of_a_key_in_one_turn_a_tier_gets_the_last() {
    let edge = Edge::new();
    let store = Hasty(MemoryTier::new(), Virtual(edge.world.clone()), Rc::default());
    let tiers = || edge.tiers().tier_with(store.clone(), |options| options.max_pending_bytes(1_000));
    let (one, other): (Isolate, Isolate) =
        (tiers().over(edge.builder().build()).unwrap(), tiers().over(edge.builder().build()).unwrap());
    one.insert("k".into(), "first".into());
    one.insert("other".into(), "beside".into());
    one.insert("k".into(), "last".into());
    edge.world.run(one.flush());
    assert_eq!((store.2.get(), one.tier_stats()[0].figures.writes), (2, 2));
    edge.world.advance(1);
    assert_eq!(edge.get(&other, "k", "loaded"), "last");
    // What the first had announced is not on its way any more.
    for turn in 0..20 {
        one.insert("k".into(), "x".repeat(300));
        one.insert("k".into(), "y".repeat(300));
        edge.world.run(one.flush());
        assert_eq!(one.tier_stats()[0].figures.writes_skipped, 0, "{turn}");
    }
}
