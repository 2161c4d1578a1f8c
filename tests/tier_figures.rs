//! What a chain tells of its tiers: by namespace, as a page for Prometheus, held against thresholds; and namespaces that use some
//! tiers only.
#![cfg(feature = "tier")]

#[path = "common/new_value.rs"]
mod new_value;

use std::collections::BTreeMap;

use nearcache::Timestamp;
use nearcache::figures::{Thresholds, TierPage, Window, health};
use nearcache::tier::{
    Chain, ChainOptions, Failure, NewValue, Place, Read, Seal, Step, TierFigures, TierOptions, Written,
};
use new_value::new_value;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A part of the cache by its namespaces.
fn part(namespaces: &[&str]) -> Place {
    Place::new(namespaces, &[])
}

/// A chain over stores that always answer, 3 ms later.
struct World {
    chain: Chain,
    stores: Vec<BTreeMap<String, Vec<u8>>>,
    now: u64,
}

impl World {
    fn new(tiers: usize) -> Self {
        let mut chain = Chain::new(ChainOptions::default(), Seal::default());
        for _ in 0..tiers {
            chain.add_tier(TierOptions::default()).unwrap();
        }
        Self { chain, stores: vec![BTreeMap::new(); tiers], now: 10_000 }
    }

    /// Stores a value; returns in which tiers.
    fn write(&mut self, place: &Place, key: &str) -> Vec<usize> {
        let value = NewValue { generation: at(self.now), ..new_value(place, key) };
        let write = self.chain.write(at(self.now), &value).unwrap();
        for put in &write.puts {
            self.stores[put.tier].insert(write.name.clone(), write.bytes.clone());
            self.chain.handle_written(put.tier, at(self.now), &[write.written()], write.bytes.len(), None);
        }
        write.puts.iter().map(|put| put.tier).collect()
    }

    /// Reads keys together; returns which tiers were asked for values, one after the other.
    fn read(&mut self, keys: &[(&Place, &str)]) -> Vec<usize> {
        let mut read = Read::new(keys.iter().map(|(place, key)| ((*place).clone(), (*key).to_owned())), false);
        let mut asked = Vec::new();
        while let Step::Get { tier, names, .. } = read.poll(&mut self.chain, at(self.now)) {
            let names = names.to_vec();
            if names.iter().any(|name| name.starts_with('v')) {
                asked.push(tier);
            }
            self.now += 3;
            let answers: Vec<_> = names.iter().map(|name| self.stores[tier].get(name).cloned()).collect();
            read.handle_answers(&mut self.chain, at(self.now), &answers);
        }
        for promotion in read.promotions(&mut self.chain, at(self.now)) {
            let written =
                Written { name: read.name(promotion.item).unwrap(), generation: at(0), number: None, replaces: false };
            self.chain.handle_written(promotion.put.tier, at(self.now), &[written], promotion.bytes, None);
        }
        asked
    }

    fn of(&self, tier: usize, namespace: &str) -> TierFigures {
        self.chain.namespace_figures(tier, namespace).cloned().unwrap_or_default()
    }
}

#[test]
fn what_a_tier_answers_is_counted_by_namespace_and_in_the_whole() {
    let mut world = World::new(2);
    let (root, carts) = (part(&[]), part(&["carts"]));
    world.write(&carts, "1");
    world.read(&[(&carts, "1"), (&carts, "2"), (&root, "3")]);
    let whole = world.chain.figures(0).unwrap().clone();
    assert_eq!((whole.asked, whole.hits, whole.misses, whole.read_millis.count()), (3, 1, 2, 1));
    let own = world.of(0, "carts");
    assert_eq!((own.asked, own.hits, own.misses, own.read_millis.count()), (2, 1, 1, 1));
    let own = world.of(0, "");
    assert_eq!((own.asked, own.hits, own.misses, own.read_millis.count()), (1, 0, 1, 1));
    assert_eq!(world.chain.namespaces(0).collect::<Vec<_>>(), ["carts", ""]);
    // Two round trips of 3 ms in the first tier, one in the second.
    assert_eq!((whole.read_millis.max(), world.chain.figures(1).unwrap().read_millis.max()), (6, 3));
    assert_eq!(whole.writes, 1);
}

#[test]
fn a_read_that_fails_is_an_error_of_each_namespace_in_it() {
    let mut world = World::new(1);
    let (carts, users) = (part(&["carts"]), part(&["users"]));
    let mut read = Read::new([(carts.clone(), "1".to_owned()), (users.clone(), "2".to_owned())], false);
    assert!(matches!(read.poll(&mut world.chain, at(1)), Step::Get { .. }));
    read.handle_failure(&mut world.chain, at(1), Failure::Timeout);
    for namespace in ["carts", "users"] {
        let own = world.of(0, namespace);
        assert_eq!((own.lost, own.read_timeouts, own.reads()), (1, 1, 1));
        assert_eq!((own.error_rate(), own.hit_rate()), (1.0, 0.0));
    }
    let whole = world.chain.figures(0).unwrap();
    assert_eq!((whole.lost, whole.read_timeouts, whole.reads()), (2, 1, 1));
}

#[test]
fn no_more_namespaces_have_figures_than_a_cache_has() {
    let mut world = World::new(1);
    for n in 0..1_000 {
        let place = part(&[&format!("n{n}")]);
        world.read(&[(&place, "1")]);
    }
    assert_eq!(world.chain.namespaces(0).count(), 256);
    assert_eq!(world.chain.figures(0).unwrap().asked, 1_000);
}

#[test]
fn a_namespace_uses_the_tiers_it_is_given_and_others_all() {
    let mut world = World::new(3);
    let (carts, within, other) = (part(&["carts"]), part(&["carts", "eu"]), part(&["cart"]));
    world.chain.restrict(&carts, [1]);
    assert_eq!(world.write(&carts, "1"), [1]);
    assert_eq!(world.write(&within, "1"), [1]);
    assert_eq!(world.write(&other, "1"), [0, 1, 2]);
    assert_eq!(world.read(&[(&carts, "1")]), [1]);
    assert_eq!(world.read(&[(&carts, "none")]), [1]);
    assert_eq!(world.read(&[(&other, "none")]), [0, 1, 2]);
    // Asked for together: each tier is asked for what uses it.
    assert_eq!(world.read(&[(&carts, "none"), (&other, "none")]), [0, 1, 2]);
    assert_eq!((world.of(0, "carts").asked, world.of(1, "carts").asked), (0, 3));
    // Nothing is copied into a tier that is not used.
    assert_eq!((world.of(0, "carts").promotions, world.stores[0].len()), (0, 1));
    world.chain.restrict(&within, []);
    assert_eq!(world.write(&within, "2"), [0; 0]);
    assert_eq!(world.read(&[(&within, "1")]), [0; 0]);
    assert_eq!(world.write(&carts, "2"), [1]);
}

#[test]
fn a_restricted_key_is_not_the_trial_of_a_tier_that_it_does_not_use() {
    let mut world = World::new(1);
    let carts = part(&["carts"]);
    world.chain.restrict(&carts, []);
    for _ in 0..10 {
        assert_eq!(world.read(&[(&carts, "1")]), [0; 0]);
    }
    assert_eq!(world.chain.figures(0).unwrap().skipped, 0);
}

#[test]
fn tiers_are_held_against_thresholds_by_what_happened_lately() {
    let mut world = World::new(1);
    let root = part(&[]);
    let thresholds = Thresholds::default().min_hit_rate(0.8).unwrap().max_error_rate(0.1).unwrap().max_latency(10);
    let mut window = Window::new(60_000);
    world.write(&root, "1");
    for _ in 0..100 {
        world.read(&[(&root, "1")]);
    }
    let recent = window.recent(at(world.now), world.chain.figures(0).unwrap());
    let verdict = health(&recent, &thresholds);
    assert!(verdict.ok, "{verdict:?}");
    let named: Vec<_> = verdict.checks.iter().map(|check| (check.name, check.value, check.samples)).collect();
    assert_eq!(named, [("hit_rate", 1.0, 100), ("error_rate", 0.0, 100), ("latency_p99", 6.0, 100)]);

    // Two windows on, what was well then is forgotten.
    for _ in 0..2 {
        world.now += 60_000;
        window.recent(at(world.now), world.chain.figures(0).unwrap());
    }
    for _ in 0..50 {
        world.read(&[(&root, "none")]);
    }
    let recent = window.recent(at(world.now), world.chain.figures(0).unwrap());
    let verdict = health(&recent, &thresholds);
    assert!(!verdict.ok);
    let ok: Vec<_> = verdict.checks.iter().map(|check| (check.name, check.ok)).collect();
    assert_eq!(ok, [("hit_rate", false), ("error_rate", true), ("latency_p99", true)]);
}

#[test]
fn a_page_has_each_tier_and_namespace_once_and_its_sums_are_right() {
    let mut world = World::new(2);
    let (root, carts) = (part(&[]), part(&["carts", "e\"u", "%:/25"]));
    world.write(&carts, "1");
    world.read(&[(&carts, "1"), (&carts, "2"), (&root, "3")]);
    let mut page = TierPage::default();
    let names = ["memory".to_owned(), "redis".to_owned()];
    page.add("shop", &names, &world.chain, at(world.now));
    // The same once more is not the same series once more.
    page.add("shop", &names, &world.chain, at(world.now));
    page.add("other", &names, &World::new(2).chain, at(world.now));
    let text = page.text();
    for line in [
        r#"nearcache_tier_requests_total{cache="shop",layer="memory",entity="carts/e\"u/%:/25",result="hit"} 1"#,
        r#"nearcache_tier_requests_total{cache="shop",layer="memory",entity="carts/e\"u/%:/25",result="miss"} 1"#,
        r#"nearcache_tier_requests_total{cache="shop",layer="memory",result="miss"} 1"#,
        r#"nearcache_tier_requests_total{cache="shop",layer="redis",result="miss"} 1"#,
        r#"nearcache_tier_requests_total{cache="other",layer="redis",result="miss"} 0"#,
        r#"nearcache_tier_writes_total{cache="shop",layer="redis",result="stored"} 1"#,
        r#"nearcache_tier_read_duration_seconds_sum{cache="shop",layer="redis"} 0.003"#,
        r#"nearcache_tier_breaker_open{cache="shop",layer="redis",lane="read"} 0"#,
        r#"nearcache_tier_purges_owed{cache="shop",layer="redis"} 0"#,
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut once: Vec<&str> = series.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), series.len());
}
