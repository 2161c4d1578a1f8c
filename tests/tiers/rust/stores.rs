//! The stores that come with the crate do what is wanted of a tier, and the checks find those that don't.

use nearcache::ManualClock;
use nearcache::tiers::conformance::{self, Options};
use nearcache::tiers::{MemoryTier, Tier, TierEntry, TierError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::support::millis;

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
