//! Envelopes, and what a chain of tiers does next.
#![cfg(feature = "tier")]

#[path = "common/new_value.rs"]
mod new_value;
#[path = "common/random.rs"]
mod random;

use nearcache::tier::{
    Acquired, BreakerOptions, BreakerState, Chain, ChainEvent, ChainOptions, Envelope, Failure, Kind, Lane, Leases,
    Lifetimes, NewValue, Place, Purge, Read, ReadOutcome, Refused, Seal, Step, TierOptions, Write, Written, names,
};
use nearcache::{Timestamp, Ttl};
use new_value::new_value;
use random::{Random, seed};
use sha2::Digest;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const DAY: u64 = 86_400_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn fresh_for(millis: u64) -> Lifetimes {
    Lifetimes { ttl: Ttl::Millis(millis), stale_while_revalidate: Ttl::ZERO, stale_if_error: Ttl::ZERO }
}

fn sample<'a>(tags: &[&'a str], payload: &'a [u8]) -> Envelope<'a> {
    Envelope {
        kind: Kind::Value,
        codec: 1,
        compressed: false,
        generation: at(1_000),
        stored_at: at(1_200),
        lifetimes: Lifetimes {
            ttl: Ttl::Millis(60_000),
            stale_while_revalidate: Ttl::Millis(5),
            stale_if_error: Ttl::Forever,
        },
        weight: Some(77),
        name: "v:::42",
        tags: tags.to_vec(),
        payload,
    }
}

#[test]
fn an_envelope_comes_back_as_it_was_signed_or_not() {
    for seal in [Seal::default(), Seal::default().with_secret(b"secret")] {
        for envelope in [sample(&["a", "ü"], b"{}"), sample(&[], &[0xFF; 3_000]), Envelope::mark("v:::42", at(7))] {
            let bytes = envelope.encode(&seal).unwrap();
            assert_eq!(Envelope::decode(&bytes, "v:::42", &seal), Ok(envelope));
        }
    }
}

#[test]
fn the_format_of_version_1_stays_what_it_is() {
    let bytes = sample(&["t"], b"{}").encode(&Seal::default()).unwrap();
    assert_eq!(
        hex_of(&bytes),
        "6e6301000001e803000000000000b00400000000000060ea0000000000000500000000000000ffffffffffffffff4d0000000600763a3a3a3432\
         0100010074020000007b7d"
            .to_owned()
            + &hex_of(&sum(&bytes[..bytes.len() - 8]))
    );
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum of an envelope that is not signed.
fn sum(bytes: &[u8]) -> [u8; 8] {
    sha2::Sha256::digest(bytes)[..8].try_into().unwrap()
}

#[test]
fn what_cannot_be_believed_is_refused_with_its_reason() {
    let plain = Seal::default();
    let old = Seal::default().with_secret(b"old");
    let new = Seal::default().with_secret(b"new");
    let rotating = Seal::default().with_secret(b"new").with_secret(b"old");
    let bytes = sample(&[], b"1").encode(&plain).unwrap();
    let signed = sample(&[], b"1").encode(&old).unwrap();
    let decode = |bytes: &[u8], seal: &Seal| Envelope::decode(bytes, "v:::42", seal).map(|_| ());
    let changed = |bytes: &[u8], at: usize, to: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = to;
        bytes
    };
    assert_eq!(decode(b"", &plain), Err(Refused::Foreign));
    assert_eq!(decode(b"{\"json\":1}", &plain), Err(Refused::Foreign));
    assert_eq!(decode(b"nc", &plain), Err(Refused::Truncated));
    assert_eq!(decode(&changed(&bytes, 2, 2), &plain), Err(Refused::Version(2)));
    assert_eq!(decode(&changed(&bytes, 30, 9), &plain), Err(Refused::Checksum));
    assert_eq!(decode(&bytes[..bytes.len() - 1], &plain), Err(Refused::Checksum));
    assert_eq!(Envelope::decode(&bytes, "v:::43", &plain), Err(Refused::OtherName));
    assert_eq!(decode(&bytes, &new), Err(Refused::Unsigned));
    assert_eq!(decode(&signed, &plain), Err(Refused::UnknownSigner));
    assert_eq!(decode(&signed, &new), Err(Refused::UnknownSigner));
    assert_eq!(decode(&changed(&signed, 30, 9), &old), Err(Refused::Signature));
    assert_eq!(decode(&signed, &rotating), Ok(()));
    // Taking the flag away makes no unsigned envelope of a signed one.
    assert_eq!(decode(&changed(&signed, 4, 0), &plain), Err(Refused::Checksum));
}

#[test]
fn a_million_broken_envelopes_are_refused_or_the_same() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let count = match () {
        _ if cfg!(target_family = "wasm") => 5_000,
        _ if cfg!(debug_assertions) => 100_000,
        _ => 1_000_000,
    };
    for signed in [false, true] {
        let seal = if signed { Seal::default().with_secret(b"s") } else { Seal::default() };
        let original = sample(&["tag", "another"], b"{\"name\":\"value\"}");
        let bytes = original.encode(&seal).unwrap();
        for _ in 0..count {
            let mut broken = bytes.clone();
            match random.below(4) {
                0 => broken.truncate(random.below(bytes.len() as u64) as usize),
                1 => broken.extend((0..random.below(40)).map(|n| n as u8)),
                2 => broken = (0..random.below(200)).map(|_| random.next() as u8).collect(),
                _ => {}
            }
            for _ in 0..random.below(4) {
                if !broken.is_empty() {
                    let place = random.below(broken.len() as u64) as usize;
                    broken[place] = random.next() as u8;
                }
            }
            // Whether the checksum happens to fit or not, nothing panics: half of them get a right one.
            let fits = !signed && broken.len() > 8 && random.one_in(2);
            if fits {
                let end = broken.len() - 8;
                let sum = sum(&broken[..end]);
                broken[end..].copy_from_slice(&sum);
            }
            let decoded = Envelope::decode(&broken, "v:::42", &seal);
            if broken == bytes {
                assert_eq!(decoded.as_ref(), Ok(&original));
            } else if !fits {
                assert!(decoded.is_err(), "seed {seed}: {broken:?}");
            }
        }
    }
}

/// Stores without faults, and a chain over them.
struct World {
    chain: Chain,
    stores: Vec<std::collections::BTreeMap<String, Vec<u8>>>,
    calls: Vec<usize>,
}

impl World {
    fn new(tiers: usize, options: TierOptions) -> Self {
        let mut chain =
            Chain::new(ChainOptions { clock_skew: 0, late_writes: 0, ..ChainOptions::default() }, Seal::default());
        (0..tiers).for_each(|tier| assert_eq!(chain.add_tier(options), Some(tier)));
        Self { chain, stores: vec![Default::default(); tiers], calls: vec![0; tiers] }
    }

    fn read(&mut self, now: u64, keys: &[&str]) -> Read {
        let mut read = Read::new(keys.iter().map(|key| (root(), (*key).to_owned())), false);
        while let Step::Get { tier, names, .. } = read.poll(&mut self.chain, at(now)) {
            self.calls[tier] += 1;
            let answers: Vec<_> = names.iter().map(|name| self.stores[tier].get(name).cloned()).collect();
            read.handle_answers(&mut self.chain, at(now), &answers);
        }
        read
    }

    fn answer(&mut self, now: u64, key: &str) -> Option<usize> {
        let read = self.read(now, &[key]);
        let ReadOutcome::Answer(found) = read.outcome(&self.chain, at(now), 0) else { return None };
        Some(found.tier)
    }

    fn plan(&mut self, generation: u64, now: u64, key: &str, tags: &[&str], lifetimes: Lifetimes) -> Option<Write> {
        self.plan_aged(generation, now, key, tags, lifetimes, 0)
    }

    fn plan_aged(
        &mut self,
        generation: u64,
        now: u64,
        key: &str,
        tags: &[&str],
        lifetimes: Lifetimes,
        age: u64,
    ) -> Option<Write> {
        let (place, tags, number) = (root(), tags.to_vec(), self.chain.begin());
        let value = NewValue { generation: at(generation), number, lifetimes, age, tags, ..new_value(&place, key) };
        self.chain.write(at(now), &value)
    }

    /// A value that replaces what may be there, as a forced load brings it.
    fn plan_replacing(&mut self, generation: u64, now: u64, key: &str, lifetimes: Lifetimes) -> Option<Write> {
        self.plan_of(generation, now, key, lifetimes, b"1")
    }

    /// Sets a value of `a` that begins with its version.
    fn set(&mut self, now: u64, version: u64, length: usize) -> Option<Write> {
        let mut payload = version.to_le_bytes().to_vec();
        payload.resize(8 + length, 0);
        self.chain.supersede(at(now), &root(), "a");
        self.plan_of(now, now, "a", fresh_for(1_000_000), &payload)
    }

    fn plan_of(&mut self, generation: u64, now: u64, key: &str, lifetimes: Lifetimes, payload: &[u8]) -> Option<Write> {
        let (place, number, replaces) = (root(), self.chain.begin(), true);
        let value =
            NewValue { generation: at(generation), number, lifetimes, replaces, payload, ..new_value(&place, key) };
        self.chain.write(at(now), &value)
    }

    fn carry_out(&mut self, now: u64, write: &Write) {
        for put in &write.puts {
            self.stores[put.tier].insert(write.name.clone(), write.bytes.clone());
            self.chain.handle_written(put.tier, at(now), &[write.written()], write.bytes.len(), None);
        }
    }

    fn write(&mut self, generation: u64, now: u64, key: &str, tags: &[&str], lifetimes: Lifetimes) {
        if let Some(write) = self.plan(generation, now, key, tags, lifetimes) {
            self.carry_out(now, &write);
        }
    }

    fn deliver(&mut self, now: u64) {
        for tier in 0..self.stores.len() {
            while let Some(delivery) = self.chain.poll_delivery(tier, at(now)) {
                delivery.deletes.iter().for_each(|name| drop(self.stores[tier].remove(name)));
                self.stores[tier].extend(delivery.marks.iter().cloned());
                self.chain.handle_delivered(tier, at(now), &delivery, None);
            }
        }
    }

    fn events(&mut self) -> Vec<ChainEvent> {
        std::iter::from_fn(|| self.chain.poll_event()).collect()
    }
}

/// A value that was copied from another tier.
fn copied(name: &str) -> Written<'_> {
    Written { name, generation: at(0), number: None, replaces: false }
}

/// Of a value that [`World::set`] made.
fn version_of(bytes: &[u8]) -> u64 {
    let envelope = Envelope::decode(bytes, "v:::a", &Seal::default()).unwrap();
    u64::from_le_bytes(envelope.payload[..8].try_into().unwrap())
}

fn root() -> Place {
    Place::new::<&str>(&[], &[])
}

#[test]
fn a_value_is_found_below_and_copied_upwards() {
    let mut world = World::new(3, TierOptions::default());
    let write = world.plan(0, 0, "a", &[], fresh_for(1_000)).unwrap();
    world.stores[2].insert(write.name.clone(), write.bytes.clone());
    let read = world.read(10, &["a"]);
    assert!(matches!(read.outcome(&world.chain, at(10), 0), ReadOutcome::Answer(found) if found.tier == 2));
    let promotions = read.promotions(&mut world.chain, at(10));
    let wanted: Vec<_> = promotions.iter().map(|promotion| (promotion.put.tier, promotion.put.ttl)).collect();
    assert_eq!(wanted, [(0, 990), (1, 990)]);
}

#[test]
fn a_value_that_has_lived_elsewhere_ends_when_it_would_have_ended_there() {
    let mut world = World::new(1, TierOptions::default());
    let write = world.plan_aged(5_000, 5_000, "a", &[], fresh_for(1_000), 600).unwrap();
    assert_eq!(write.puts[0].ttl, 400);
    world.carry_out(5_000, &write);
    assert_eq!(world.answer(5_399, "a"), Some(0));
    assert_eq!(world.answer(5_400, "a"), None);
    assert_eq!(world.plan_aged(5_000, 5_000, "b", &[], fresh_for(1_000), 1_000), None, "it has ended there");
    // What is left of its windows is of use.
    let windowed = Lifetimes { stale_if_error: Ttl::Millis(500), ..fresh_for(1_000) };
    let write = world.plan_aged(5_000, 5_000, "c", &[], windowed, 1_200).unwrap();
    assert_eq!(write.puts[0].ttl, 300);
    world.carry_out(5_000, &write);
    assert_eq!(world.answer(5_000, "c"), None);
    assert!(matches!(world.read(5_000, &["c"]).outcome(&world.chain, at(5_000), 0), ReadOutcome::Load(Some(_))));
}

#[test]
fn a_promotion_keeps_to_the_tiers_own_ttl() {
    let mut world = World::new(1, TierOptions { ttl: Ttl::Millis(300), ..TierOptions::default() });
    world.chain.add_tier(TierOptions::default()).unwrap();
    world.stores.push(Default::default());
    world.calls.push(0);
    let write = world.plan(0, 0, "a", &[], fresh_for(1_000)).unwrap();
    assert_eq!(write.puts.iter().map(|put| put.ttl).collect::<Vec<_>>(), [300, 1_000]);
    world.stores[1].insert(write.name.clone(), write.bytes.clone());
    let read = world.read(900, &["a"]);
    assert_eq!(read.promotions(&mut world.chain, at(900))[0].put.ttl, 100);
}

#[test]
fn a_thousand_keys_cost_two_round_trips_of_a_tier_that_has_them_and_one_of_one_that_has_none() {
    let mut world = World::new(2, TierOptions::default());
    let keys: Vec<String> = (0..1_000).map(|key| key.to_string()).collect();
    for key in &keys {
        let write = world.plan(0, 0, key, &["tag"], fresh_for(1_000)).unwrap();
        world.stores[1].insert(write.name.clone(), write.bytes.clone());
    }
    let read = world.read(1, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    assert!((0..1_000).all(|item| matches!(read.outcome(&world.chain, at(1), item), ReadOutcome::Answer(_))));
    assert_eq!(world.calls, [1, 2]);
    assert_eq!(world.chain.figures(1).unwrap().hits, 1_000);
}

#[test]
fn a_stale_value_answers_while_it_may_and_stands_in_for_a_failing_load_later() {
    let lifetimes =
        Lifetimes { ttl: Ttl::Millis(100), stale_while_revalidate: Ttl::Millis(50), stale_if_error: Ttl::Millis(200) };
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 0, "a", &[], lifetimes);
    for (now, wanted) in
        [(99, "answer"), (149, "answer"), (150, "load, or this"), (299, "load, or this"), (300, "load")]
    {
        let read = world.read(now, &["a"]);
        let outcome = match read.outcome(&world.chain, at(now), 0) {
            ReadOutcome::Answer(_) => "answer",
            ReadOutcome::Load(Some(_)) => "load, or this",
            ReadOutcome::Load(None) => "load",
        };
        assert_eq!(outcome, wanted, "at {now}");
    }
}

#[test]
fn nothing_outlives_the_time_for_which_purges_are_remembered() {
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 1_000, "a", &[], Lifetimes { stale_if_error: Ttl::Forever, ..fresh_for(u64::MAX) });
    assert_eq!(world.answer(DAY - 1, "a"), Some(0));
    assert_eq!(world.answer(DAY, "a"), None);
}

#[test]
fn a_purge_counts_here_before_any_tier_knows_of_it() {
    for purge in [Purge::Key("a"), Purge::Tag("t"), Purge::All] {
        let mut world = World::new(2, TierOptions::default());
        world.write(0, 0, "a", &["t"], fresh_for(1_000));
        world.write(0, 0, "b", &[], fresh_for(1_000));
        assert_eq!(world.answer(1, "a"), Some(0));
        world.chain.purge(at(2), &root(), purge);
        assert_eq!(world.answer(3, "a"), None, "{purge:?}");
        assert_eq!(world.answer(3, "b").is_none(), matches!(purge, Purge::All), "{purge:?}");
    }
}

#[test]
fn a_purge_counts_elsewhere_when_the_tiers_were_told_whatever_comes_late() {
    for purge in [Purge::Key("a"), Purge::Tag("t"), Purge::All] {
        let mut here = World::new(1, TierOptions::default());
        let mut there = World::new(1, TierOptions::default());
        // Loaded there before the purge here, and stored after it.
        let late = there.plan(5, 6, "a", &["t"], fresh_for(1_000)).unwrap();
        here.chain.purge(at(7), &root(), purge);
        here.deliver(8);
        assert!(!here.chain.owes(0));
        there.stores = std::mem::take(&mut here.stores);
        there.carry_out(9, &late);
        assert_eq!(there.answer(10, "a"), None, "{purge:?}");
        assert_eq!(there.chain.figures(0).unwrap().purged, 1);
        there.write(11, 12, "a", &["t"], fresh_for(1_000));
        assert_eq!(there.answer(13, "a"), Some(0), "{purge:?}");
    }
}

#[test]
fn a_purge_reaches_from_the_whole_into_namespaces_and_scopes_and_from_no_part_into_another() {
    let part = Place::new(&["shop"], &["user:1"]);
    assert_eq!(part.as_str(), "shop:user%3A1");
    for (from, reaches) in [
        (root(), true),
        (Place::new(&["shop"], &[]), true),
        (Place::new(&[], &["user:1"]), true),
        (part.clone(), true),
        (Place::new(&["shop"], &["user"]), false),
        (Place::new(&["shops"], &[]), false),
        (Place::new(&["shop", "inner"], &[]), false),
    ] {
        let mut world = World::new(1, TierOptions::default());
        let (lifetimes, tags) = (fresh_for(1_000), vec!["t"]);
        let value = NewValue { lifetimes, tags, ..new_value(&part, "a") };
        let write = world.chain.write(at(0), &value).unwrap();
        world.carry_out(0, &write);
        world.chain.purge(at(1), &from, Purge::Tag("t"));
        let mut read = Read::new([(part.clone(), "a".to_owned())], false);
        while let Step::Get { tier, names, .. } = read.poll(&mut world.chain, at(2)) {
            let answers: Vec<_> = names.iter().map(|name| world.stores[tier].get(name).cloned()).collect();
            read.handle_answers(&mut world.chain, at(2), &answers);
        }
        assert_eq!(read.outcome(&world.chain, at(2), 0) == ReadOutcome::Load(None), reaches, "{from:?}");
    }
}

#[test]
fn names_are_bounded_and_of_one_meaning() {
    let place = root();
    let long = "k".repeat(201);
    assert_eq!(place.value(&long).len(), "v:::~".len() + 64);
    // The digest's own text is another key.
    let digest = place.value(&long)[4..].to_owned();
    assert_ne!(place.value(&digest), place.value(&long));
    assert_ne!(Place::new(&["a/b"], &[]), Place::new(&["a", "b"], &[]));
    assert_ne!(Place::new(&[""], &[]), root());
}

#[test]
fn a_name_tells_whether_it_is_a_mark_s_and_of_how_many_values() {
    let place = Place::new(&["a"], &["t:"]);
    // Keys and tags that look like kinds.
    for text in ["k:", "v:", "t:x", ""] {
        let (value, mark) = (place.value(text), place.key_mark(text));
        assert!(!names::is_mark(&value) && names::is_mark(&mark) && !names::is_mark_of_many(&mark));
        assert_eq!(names::without_kind(&value), names::without_kind(&mark));
        for name in [place.tag_mark(text), place.all_mark()] {
            assert!(names::is_mark(&name) && names::is_mark_of_many(&name));
            assert_eq!(names::without_kind(&name), name);
        }
    }
}

#[test]
fn what_a_set_replaced_does_not_come_back_with_a_late_load() {
    let mut world = World::new(1, TierOptions::default());
    world.chain.supersede(at(10), &root(), "a");
    assert!(world.plan(9, 11, "a", &[], fresh_for(100)).is_none());
    assert!(world.plan(10, 11, "a", &[], fresh_for(100)).is_some());
}

#[test]
fn a_load_that_began_in_the_millisecond_of_a_set_does_not_take_its_place() {
    let mut world = World::new(1, TierOptions::default());
    let place = root();
    let (began, key) = (world.chain.begin(), "a");
    let first = world.chain.supersede(at(10), &place, key);
    world.chain.supersede(at(10), &place, "b");
    let mut is_stored = |number| {
        let lifetimes = fresh_for(100);
        let value = NewValue { generation: at(10), number, lifetimes, ..new_value(&place, key) };
        world.chain.write(at(11), &value).is_some()
    };
    assert!(!is_stored(began), "the load's");
    assert!(is_stored(first), "the one that was set");
    assert!(is_stored(first + 1), "one that was loaded after that");
}

/// What is set of a key, its version as payload, in tiers that fail at random.
#[test]
fn of_a_key_that_was_set_no_older_value_stays_where_the_newer_one_could_not_be_written() {
    let seed = seed();
    println!("seed {seed}");
    for round in 0..if cfg!(target_family = "wasm") { 50 } else { 2_000 } {
        let mut random = Random(seed.wrapping_add(round));
        let breaker = BreakerOptions { failures: 3, cooldown: 20 };
        // A payload of more bytes does not fit into the second tier.
        let roomy = TierOptions { breaker, max_pending_bytes: 400, ..TierOptions::default() };
        let mut world = World::new(1, roomy);
        world.chain.add_tier(TierOptions { max_value_bytes: 80, ..roomy }).unwrap();
        world.stores.push(Default::default());
        world.calls.push(0);
        let mut under_way = Vec::new();
        let mut now = 1_000;
        let newest = random.below(60);
        for version in 1..=newest {
            now += random.below(10);
            let write = world.set(now, version, 1 + random.below(40) as usize);
            let puts = write.iter().flat_map(|write| write.puts.clone());
            under_way.extend(puts.map(|put| (put.tier, write.clone().unwrap())));
            // They end in the order in which they began, as drivers see to.
            for (tier, write) in under_way.drain(..random.below(under_way.len() as u64 + 1) as usize) {
                let failure = random.one_in(2).then_some(Failure::Error);
                if failure.is_none() || random.one_in(4) {
                    world.stores[tier].insert(write.name.clone(), write.bytes.clone());
                }
                world.chain.handle_written(tier, at(now), &[write.written()], write.bytes.len(), failure);
            }
            if random.one_in(4) {
                world.deliver(now);
            }
        }
        for (tier, write) in under_way {
            world.stores[tier].insert(write.name.clone(), write.bytes.clone());
            world.chain.handle_written(tier, at(now), &[write.written()], write.bytes.len(), None);
        }
        world.deliver(now + 10_000);
        assert!(!world.chain.owes(0) && !world.chain.owes(1), "seed {seed}, round {round}");
        let last = world.stores.iter().flat_map(|store| store.get("v:::a")).collect::<Vec<_>>();
        let versions: Vec<_> = last.iter().map(|bytes| version_of(bytes)).collect();
        assert!(versions.iter().all(|&version| version == newest), "round {round}: {versions:?} of {newest}");
    }
}

#[test]
fn a_value_that_is_over_at_once_takes_the_one_before_out_of_all_tiers() {
    let mut world = World::new(2, TierOptions::default());
    world.write(0, 0, "a", &[], fresh_for(100_000));
    world.chain.supersede(at(5), &root(), "a");
    assert_eq!(world.plan_replacing(5, 5, "a", fresh_for(0)), None);
    world.deliver(6);
    assert_eq!(world.stores[0].keys().chain(world.stores[1].keys()).collect::<Vec<_>>(), ["k:::a", "k:::a"]);
}

#[test]
fn a_tier_that_has_been_given_a_newer_value_owes_nothing_for_the_one_that_it_lacks() {
    let mut world = World::new(1, TierOptions::default());
    let lacks = world.plan_replacing(5, 5, "a", fresh_for(1_000)).unwrap();
    world.chain.handle_written(0, at(6), &[lacks.written()], lacks.bytes.len(), Some(Failure::Error));
    assert!(world.chain.owes(0));
    world.write(7, 7, "a", &[], fresh_for(1_000));
    assert!(!world.chain.owes(0));
    assert_eq!(world.answer(8, "a"), Some(0));
    // A purge is owed all the same.
    world.chain.purge(at(9), &root(), Purge::Key("a"));
    let lacks = world.plan_replacing(10, 10, "a", fresh_for(1_000)).unwrap();
    world.chain.handle_written(0, at(11), &[lacks.written()], lacks.bytes.len(), Some(Failure::Error));
    world.write(12, 12, "a", &[], fresh_for(1_000));
    assert!(world.chain.owes(0));
    world.deliver(13);
    assert!(!world.chain.owes(0));
}

#[test]
fn what_comes_late_while_a_tier_is_told_to_delete_is_deleted_after_all() {
    let mut world = World::new(1, TierOptions::default());
    let late = world.plan_replacing(4, 4, "a", fresh_for(1_000)).unwrap();
    let lacks = world.plan_replacing(5, 5, "a", fresh_for(1_000)).unwrap();
    world.chain.handle_written(0, at(6), &[lacks.written()], lacks.bytes.len(), Some(Failure::Error));
    let delivery = world.chain.poll_delivery(0, at(7)).unwrap();
    assert_eq!((delivery.deletes.as_slice(), delivery.marks.len()), (["v:::a".to_owned()].as_slice(), 0));
    world.chain.handle_written(0, at(8), &[late.written()], late.bytes.len(), None);
    world.chain.handle_delivered(0, at(9), &delivery, None);
    assert!(world.chain.owes(0));
    world.deliver(10);
    assert!(!world.chain.owes(0));
    // What is copied from another tier is not older: it would not have been believed.
    let copied = Written { generation: at(5), ..copied("v:::a") };
    world.chain.handle_written(0, at(11), &[copied], 1, None);
    assert!(!world.chain.owes(0));
}

#[test]
fn what_a_tier_lacks_is_forgotten_where_there_is_no_room_and_ends_nothing_else() {
    let mut world = World::new(2, TierOptions::default());
    world.write(0, 0, "old", &[], fresh_for(1_000_000));
    for key in 0..10_000 {
        let now = 1_000 + key;
        let lacks = world.plan_replacing(now, now, &key.to_string(), fresh_for(1_000)).unwrap();
        for tier in 0..2 {
            let failure = (tier == 0).then_some(Failure::Error);
            world.chain.handle_written(tier, at(now), &[lacks.written()], lacks.bytes.len(), failure);
        }
    }
    assert_eq!(world.answer(20_000, "old"), Some(0), "of what has nothing to do with it nothing is lost");
    assert!(world.chain.owes(0) && !world.chain.owes(1));
}

#[test]
fn a_purge_that_a_tier_could_not_be_told_is_told_later() {
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 0, "a", &[], fresh_for(100_000));
    world.chain.purge(at(1), &root(), Purge::Key("a"));
    let delivery = world.chain.poll_delivery(0, at(2)).unwrap();
    assert_eq!((delivery.deletes.as_slice(), delivery.marks.len()), (["v:::a".to_owned()].as_slice(), 1));
    world.chain.handle_delivered(0, at(3), &delivery, Some(Failure::Error));
    assert!(world.chain.owes(0));
    assert_eq!(world.answer(4, "a"), None);
    world.deliver(5);
    assert!(!world.chain.owes(0));
    assert!(!world.stores[0].contains_key("v:::a"));
}

#[test]
fn more_purges_than_can_be_remembered_end_everything_rather_than_nothing() {
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 0, "a", &[], fresh_for(100_000));
    world.chain.purge(at(1), &root(), Purge::Key("a"));
    for n in 0..10_000 {
        world.chain.purge(at(2), &root(), Purge::Key(&format!("other {n}")));
    }
    assert_eq!(world.answer(3, "a"), None);
    world.deliver(4);
    let mut other = World::new(1, TierOptions::default());
    other.stores = world.stores.clone();
    // "a" was stored anew by somebody who came late; no mark of its own is left, but one for all.
    let late = other.plan(0, 5, "a", &[], fresh_for(100_000)).unwrap();
    other.stores[0].insert(late.name, late.bytes);
    assert_eq!(other.answer(6, "a"), None);
}

#[test]
fn a_tier_that_fails_is_left_alone_told_of_once_and_tried_again() {
    let breaker = BreakerOptions { failures: 3, cooldown: 1_000 };
    let mut world = World::new(1, TierOptions { breaker, ..TierOptions::default() });
    let fail = |world: &mut World, now: u64, failure| {
        let mut read = Read::new([(root(), "a".to_owned())], false);
        let asked = matches!(read.poll(&mut world.chain, at(now)), Step::Get { .. });
        read.handle_failure(&mut world.chain, at(now), failure);
        assert_eq!(read.poll(&mut world.chain, at(now)), Step::Done);
        assert_eq!(read.outcome(&world.chain, at(now), 0), ReadOutcome::Load(None));
        asked
    };
    let asked: Vec<bool> = (0..10).map(|now| fail(&mut world, now, Failure::Timeout)).collect();
    assert_eq!(asked.iter().filter(|asked| **asked).count(), 3);
    assert_eq!(world.events(), [ChainEvent::Failing { tier: 0, lane: Lane::Read }]);
    assert_eq!(world.chain.breakers(0, at(10)).unwrap().0, BreakerState::Open);
    // One trial, that fails: twice as long.
    assert!(fail(&mut world, 1_100, Failure::Error));
    assert!(!fail(&mut world, 2_500, Failure::Error));
    assert_eq!(world.answer(3_200, "a"), None);
    assert_eq!(world.chain.breakers(0, at(3_200)).unwrap().0, BreakerState::Closed);
    assert_eq!(world.events(), [ChainEvent::Recovered { tier: 0, lane: Lane::Read }]);
    let figures = world.chain.figures(0).unwrap();
    assert_eq!((figures.read_timeouts, figures.read_errors, figures.skipped, figures.lost), (3, 1, 8, 4));
}

#[test]
fn of_a_tier_that_fails_now_and_then_a_log_has_two_lines_in_a_minute() {
    let breaker = BreakerOptions { failures: 3, cooldown: 1_000 };
    let mut world = World::new(1, TierOptions { breaker, ..TierOptions::default() });
    let mut lines = Vec::new();
    for now in (0..120_000).step_by(100) {
        let mut read = Read::new([(root(), "a".to_owned())], false);
        read.poll(&mut world.chain, at(now));
        // Every other call fails, but for some seconds of peace.
        if now % 200 == 0 && now % 20_000 < 15_000 {
            read.handle_failure(&mut world.chain, at(now), Failure::Error);
        } else {
            read.handle_answers::<Vec<u8>>(&mut world.chain, at(now), &[None]);
        }
        lines.extend(world.events().into_iter().map(|event| (now, event)));
    }
    let failing = ChainEvent::Failing { tier: 0, lane: Lane::Read };
    let recovered = ChainEvent::Recovered { tier: 0, lane: Lane::Read };
    assert_eq!(lines, [(0, failing), (15_800, recovered), (80_000, failing), (95_800, recovered)]);
}

#[test]
fn a_trial_that_was_lost_with_its_request_is_followed_by_another() {
    let breaker = BreakerOptions { failures: 1, cooldown: 1_000 };
    let mut world = World::new(1, TierOptions { breaker, ..TierOptions::default() });
    let begin = |world: &mut World, now| {
        let mut read = Read::new([(root(), "a".to_owned())], false);
        let asked = matches!(read.poll(&mut world.chain, at(now)), Step::Get { .. });
        (read, asked)
    };
    let (mut read, _) = begin(&mut world, 0);
    read.handle_failure(&mut world.chain, at(0), Failure::Error);
    assert!(begin(&mut world, 1_000).1, "the trial");
    assert!(!begin(&mut world, 1_001).1, "one at a time");
    assert!(begin(&mut world, 1_250).1, "after the timeout another");
}

#[test]
fn a_tier_that_brings_rubbish_alone_fails_and_one_broken_value_is_a_miss() {
    let breaker = BreakerOptions { failures: 2, cooldown: 1_000 };
    let mut world = World::new(1, TierOptions { breaker, ..TierOptions::default() });
    world.write(0, 0, "good", &[], fresh_for(1_000));
    world.stores[0].insert("v:::bad".to_owned(), b"rubbish".to_vec());
    for now in 1..5 {
        world.read(now, &["good", "bad"]);
    }
    assert_eq!(world.chain.breakers(0, at(5)).unwrap().0, BreakerState::Closed);
    assert_eq!(world.events(), [ChainEvent::Refused { tier: 0, refused: Refused::Foreign }]);
    for now in 5..9 {
        world.read(now, &["bad"]);
    }
    let figures = world.chain.figures(0).unwrap();
    assert_eq!((figures.refused["foreign"], figures.hits, figures.skipped), (6, 4, 2));
    assert_eq!(world.chain.breakers(0, at(9)).unwrap().0, BreakerState::Open);
}

#[test]
fn a_mark_that_cannot_be_read_ends_what_it_may_be_about() {
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 0, "a", &[], fresh_for(1_000));
    world.stores[0].insert("k:::a".to_owned(), b"rubbish".to_vec());
    assert_eq!(world.answer(1, "a"), None);
}

#[test]
fn what_is_on_its_way_to_a_tier_is_bounded() {
    let mut world = World::new(1, TierOptions { max_pending_bytes: 250, ..TierOptions::default() });
    let puts = |world: &mut World, now| world.plan(0, now, "a", &[], fresh_for(100_000)).unwrap().puts.len();
    assert_eq!((puts(&mut world, 0), puts(&mut world, 0), puts(&mut world, 0), puts(&mut world, 0)), (1, 1, 1, 0));
    assert_eq!(world.chain.figures(0).unwrap().writes_skipped, 1);
    world.chain.handle_written(0, at(1), &[copied("v:::a")], 72, None);
    assert_eq!(puts(&mut world, 1), 1);
    assert_eq!(puts(&mut world, 2), 0);
    assert_eq!(puts(&mut world, 1_001), 1, "what was lost with its request holds no room for ever");
}

#[test]
fn what_is_larger_than_a_tier_takes_is_kept_from_it_and_no_failure() {
    let mut world = World::new(2, TierOptions { max_value_bytes: 72, ..TierOptions::default() });
    for round in 0..10 {
        let fits = world.plan(0, round, "a", &[], fresh_for(100_000)).unwrap();
        assert_eq!((fits.bytes.len(), fits.puts.len()), (72, 2));
        assert_eq!(world.plan(0, round, "aa", &[], fresh_for(100_000)).unwrap().puts, []);
    }
    let figures = world.chain.figures(0).unwrap();
    assert_eq!((figures.too_large, figures.writes_skipped, figures.write_errors), (10, 0, 0));
}

#[test]
fn what_was_stored_in_the_future_is_not_believed() {
    let mut world = World::new(1, TierOptions::default());
    world.write(0, 500, "a", &[], fresh_for(1_000));
    assert_eq!(world.answer(499, "a"), None);
    assert_eq!(world.chain.figures(0).unwrap().refused["future"], 1);
}

#[test]
fn a_tier_that_answers_with_another_number_of_values_has_failed() {
    let mut world = World::new(1, TierOptions::default());
    let mut read = Read::new([(root(), "a".to_owned())], false);
    assert!(matches!(read.poll(&mut world.chain, at(0)), Step::Get { .. }));
    read.handle_answers::<Vec<u8>>(&mut world.chain, at(0), &[None, None]);
    assert_eq!(read.poll(&mut world.chain, at(0)), Step::Done);
    assert_eq!(world.chain.figures(0).unwrap().read_errors, 1);
}

#[test]
fn a_lease_has_one_holder_until_it_is_given_back_or_not_renewed() {
    let mut leases = Leases::default();
    let Acquired::Granted(first) = leases.acquire(at(0), "k", 100) else { panic!() };
    assert_eq!(leases.acquire(at(1), "k", 100), Acquired::Held(99));
    assert!(leases.renew(at(90), "k", first, 100));
    assert_eq!(leases.acquire(at(100), "k", 100), Acquired::Held(90));
    assert!(matches!(leases.acquire(at(100), "other", 100), Acquired::Granted(_)));
    // The holder died: the next one takes over, and the dead one changes nothing more.
    let Acquired::Granted(second) = leases.acquire(at(190), "k", 100) else { panic!() };
    assert!(!leases.renew(at(191), "k", first, 100));
    assert!(!leases.release("k", first));
    assert_eq!(leases.acquire(at(192), "k", 100), Acquired::Held(98));
    assert!(leases.release("k", second));
    assert!(matches!(leases.acquire(at(193), "k", 100), Acquired::Granted(_)));
}

#[test]
fn leases_are_bounded_and_those_that_ended_make_room() {
    let mut leases = Leases::default();
    for n in 0..100_000 {
        assert!(matches!(leases.acquire(at(10), &n.to_string(), 5_000), Acquired::Granted(_)));
    }
    assert_eq!(leases.acquire(at(2_000), "one more", 5_000), Acquired::Full);
    assert!(matches!(leases.acquire(at(5_010), "one more", 5_000), Acquired::Granted(_)));
    assert_eq!(leases.len(), 1);
}

/// The symptom: what was purged again in the same millisecond stood in a delivery twice, which a store that refuses a name twice in a call
/// refused whole, again and again.
#[test]
fn no_mark_is_told_twice_in_one_delivery() {
    let mut world = World::new(1, TierOptions::default());
    for (now, key) in [(2, "a"), (2, "b"), (2, "a"), (1, "a"), (2, "a"), (2, "b")] {
        world.chain.purge(at(now), &root(), Purge::Key(key));
    }
    let delivery = world.chain.poll_delivery(0, at(3)).unwrap();
    let mut names: Vec<_> = delivery.marks.iter().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    assert_eq!(names, [root().key_mark("a"), root().key_mark("b")]);
    assert_eq!(delivery.deletes.len(), 2);
    world.chain.handle_delivered(0, at(4), &delivery, None);
    assert!(!world.chain.owes(0));
    // Marks that were forgotten are owed as one of all, beside another of all.
    for n in 0..5_000 {
        world.chain.purge(at(5), &root(), Purge::Key(&format!("{n}")));
    }
    world.chain.purge(at(5), &root(), Purge::All);
    let mut told = Vec::new();
    while let Some(delivery) = world.chain.poll_delivery(0, at(5)) {
        let all = delivery.marks.iter().filter(|(name, _)| *name == root().all_mark()).count();
        assert!(all <= 1, "{all}");
        told.push(all);
        world.chain.handle_delivered(0, at(5), &delivery, None);
    }
    assert!(told[0] == 1 && !world.chain.owes(0), "{told:?}");
}

#[test]
fn thousands_of_values_that_are_set_do_not_end_what_the_tiers_have() {
    let mut world = World::new(1, TierOptions::default());
    world.write(1, 1, "loaded", &[], fresh_for(1_000_000));
    for n in 0..10_000_u64 {
        let now = 10 + n / 10;
        let key = format!("{n}");
        world.chain.supersede(at(now), &root(), &key);
        let write = world.plan_replacing(now, now, &key, fresh_for(1_000_000)).unwrap();
        world.carry_out(now, &write);
    }
    // Its write may still be on its way, and an older value there.
    assert_eq!(world.answer(1_010, "0"), None);
    // A load that began before what was forgotten may bring what is older.
    assert_eq!(world.plan(9, 12_000, "0", &[], fresh_for(1_000_000)), None);
    for key in ["loaded", "0", "5000", "9999"] {
        assert_eq!(world.answer(12_000, key), Some(0), "{key}");
    }
}

#[test]
fn a_value_that_was_purged_by_its_tag_before_it_is_stored_takes_the_one_before_out() {
    let mut world = World::new(2, TierOptions::default());
    let place = root();
    world.chain.restrict(&place, [1]);
    // The one before does not bear the tag.
    world.write(1, 1, "a", &[], fresh_for(1_000));
    assert_eq!(world.answer(2, "a"), Some(1));
    let number = world.chain.supersede(at(10), &place, "a");
    world.chain.purge(at(10), &place, Purge::Tag("t"));
    let (lifetimes, tags, replaces) = (fresh_for(1_000), vec!["t"], true);
    let mut value = NewValue { generation: at(10), number, lifetimes, tags, replaces, ..new_value(&place, "a") };
    assert_eq!(world.chain.write(at(11), &value), None);
    world.deliver(11);
    assert!(world.stores.iter().all(|store| !store.contains_key("v:::a")), "the one before is there");
    // A purge of all takes it out by itself.
    value.number = world.chain.supersede(at(20), &place, "a");
    value.generation = at(20);
    world.chain.purge(at(20), &place, Purge::All);
    assert_eq!(world.chain.write(at(21), &value), None);
    let delivery = world.chain.poll_delivery(1, at(21)).unwrap();
    assert!(delivery.deletes.is_empty(), "{:?}", delivery.deletes);
}
