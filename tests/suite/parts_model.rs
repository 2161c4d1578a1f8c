//! Parts of a cache, their tags and lifetimes, against a map, under random operations. `STEPS=1000000` for more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use nearcache::core::EvictionPolicy;
use nearcache::options::PolicyPatch;
use nearcache::{Cache, EntryOptions, RemovalCause, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Heard, Random, Virtual, seed};

struct Held {
    value: u64,
    weight: u32,
    tags: Vec<usize>,
    expires: u64,
}

const TAGS: [&str; 4] = ["t", "t:1", "", "another"];
/// Namespaces and scopes on the way to each part, of which the first is the cache itself.
const PARTS: [(&[&str], &[&str]); 9] = [
    (&[], &[]),
    (&["a"], &[]),
    (&["b"], &[]),
    (&["a", "b"], &[]),
    (&[], &["a"]),
    (&["a"], &["a"]),
    (&["b"], &["a"]),
    (&["a", "b"], &["a", "b"]),
    (&[], &["a", "b"]),
];

fn contains(outer: usize, inner: usize) -> bool {
    let ((namespaces, scopes), (inner_namespaces, inner_scopes)) = (PARTS[outer], PARTS[inner]);
    inner_namespaces.starts_with(namespaces) && inner_scopes.starts_with(scopes)
}

fn run(seed: u64, steps: u64) {
    let mut random = Random(seed);
    let eviction = [EvictionPolicy::Lru, EvictionPolicy::Adaptive][random.below(2) as usize];
    let max_entries = [1, 3, 40, 1_000][random.below(4) as usize];
    let max_bytes = [20, 200, u64::MAX][random.below(3) as usize];
    let world = Virtual::<false>::default();
    let departures = Rc::new(RefCell::new(Vec::new()));
    let heard = departures.clone();
    let whole: Cache<u64, u64, _> = Cache::builder()
        .eviction(eviction)
        .max_entries(max_entries)
        .max_bytes(max_bytes)
        .plugin(Heard(move |_: &u64, value: &u64, cause| heard.borrow_mut().push((*value, cause))))
        .runtime(world.clone())
        .build();
    let parts = PARTS.map(|(namespaces, scopes)| {
        let inner = namespaces.iter().try_fold(whole.clone(), |part, name| part.namespace(name, PolicyPatch::new()));
        scopes.iter().fold(inner.unwrap_or_else(|error| panic!("{error}")), |part, name| part.scope(name))
    });
    let mut model: HashMap<(usize, u64), Held> = HashMap::new();
    for step in 0..steps {
        let (at, key, now) = (random.below(PARTS.len() as u64) as usize, random.below(12), world.0.now());
        let (part, place) = (&parts[at], (at, key));
        let fresh = model.get(&place).filter(|held| now < held.expires).map(|held| held.value);
        let told = format!("seed {seed} step {step}: key {key} of part {at}");
        match random.below(20) {
            0..=6 => assert_eq!(part.get(&key), fresh, "{told}"),
            7..=12 => {
                let millis = [random.below(30), u64::MAX][random.below(2) as usize];
                let tags: Vec<usize> = (0..TAGS.len()).filter(|_| random.one_in(3)).collect();
                let weight = random.below(7) as u32;
                let options =
                    EntryOptions::new().ttl(Ttl::Millis(millis)).weight(weight).tags(tags.iter().map(|t| TAGS[*t]));
                let stored = part.insert_with(key, step, options);
                assert!(!stored || millis > 0, "{told}");
                model.remove(&place);
                if stored {
                    model.insert(place, Held { value: step, weight, tags, expires: now.saturating_add(millis) });
                }
            }
            13 => {
                assert_eq!(part.remove(&key), fresh, "{told}");
                model.remove(&place);
            }
            14 => {
                assert_eq!(part.expire(&key), fresh.is_some(), "{told}");
                model.entry(place).and_modify(|held| held.expires = held.expires.min(now));
            }
            15 if random.one_in(2) => {
                let tag = random.below(TAGS.len() as u64) as usize;
                let before = model.len();
                model.retain(|(of, _), held| !contains(at, *of) || !held.tags.contains(&tag));
                assert_eq!(part.remove_by_tag(TAGS[tag]), before - model.len(), "{told}");
            }
            15 => {
                let tag = random.below(TAGS.len() as u64) as usize;
                let mut ended = 0;
                for ((of, _), held) in &mut model {
                    if contains(at, *of) && held.tags.contains(&tag) && now < held.expires {
                        held.expires = now;
                        ended += 1;
                    }
                }
                assert_eq!(part.expire_by_tag(TAGS[tag]), ended, "{told}");
            }
            16 if random.one_in(6) => {
                part.clear();
                model.retain(|(of, _), _| !contains(at, *of));
            }
            17 => {
                let held = model.keys().filter(|(of, _)| contains(at, *of)).count();
                assert_eq!(part.len(), held, "{told}");
            }
            18 => {
                let mut live: Vec<_> = model
                    .iter()
                    .filter(|((of, _), held)| *of == at && now < held.expires)
                    .map(|((_, key), held)| (*key, held.value))
                    .collect();
                let mut met: Vec<_> = part.iter().collect();
                live.sort_unstable();
                met.sort_unstable();
                assert_eq!(met, live, "{told}");
            }
            _ => world.0.advance(random.below(5)),
        }
        // Who goes is the policy's choice, and when what is over goes the sweep's.
        for (value, cause) in departures.borrow_mut().drain(..) {
            let before = model.len();
            model.retain(|_, held| held.value != value);
            let chosen = matches!(cause, RemovalCause::Size | RemovalCause::Expired);
            assert!(before == model.len() || chosen, "{told}: {value} was not to leave");
        }
        let weight: u64 = model.values().map(|held| u64::from(held.weight)).sum();
        assert_eq!((whole.len(), whole.weight()), (model.len(), weight), "{told}");
        assert!(whole.len() as u64 <= max_entries && weight <= max_bytes, "{told}");
    }
}

#[test]
fn random_operations_on_parts_match_the_model() {
    let seed = seed();
    println!("seed {seed}");
    let steps = std::env::var("STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(80_000);
    let round = 2_000;
    (0..steps / round).for_each(|at| run(seed + at, round));
}
