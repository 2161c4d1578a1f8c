//! The crate against its peers: one process, one trace, interleaved rounds, medians, and the median of the ratio to `lru` in
//! the same round; with the hit ratio, since a faster hit of the wrong entries is no bargain, and with bytes per entry.
//!
//! `cargo bench --bench peers`, `ONLY=hit` for one case, `CACHES=adaptive` for some caches beside `lru`; `scripts/bench instructions` counts
//! instructions instead, which a busy machine does not change. String keys of 48 characters, Zipf(1.0) over 100,000 keys, 10,000 entries.

use std::hint::black_box;
use std::time::Duration;

use nearcache::Cache;
use nearcache::core::EvictionPolicy;

const KEYS: usize = 100_000;
const ENTRIES: usize = 10_000;
const OPS: usize = 400_000;
const ROUNDS: usize = 15;
const TTL: Duration = Duration::from_secs(3_600);

/// The three words that all caches understand.
trait Contender {
    fn get(&mut self, key: &str) -> Option<u64>;
    fn insert(&mut self, key: &str, value: u64);
}

impl Contender for Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        Cache::get(self, key)
    }
    fn insert(&mut self, key: &str, value: u64) {
        Cache::insert(self, key.to_owned(), value);
    }
}

impl Contender for lru::LruCache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        lru::LruCache::get(self, key).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        self.put(key.to_owned(), value);
    }
}

impl Contender for quick_cache::unsync::Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        quick_cache::unsync::Cache::get(self, key).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        quick_cache::unsync::Cache::insert(self, key.to_owned(), value);
    }
}

impl Contender for mini_moka::unsync::Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        mini_moka::unsync::Cache::get(self, &key.to_owned()).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        mini_moka::unsync::Cache::insert(self, key.to_owned(), value);
    }
}

type Make = fn() -> Box<dyn Contender>;

/// The first is what the others are compared with. It has no ttl.
const CONTENDERS: [(&str, Make); 7] = [
    ("lru", || {
        Box::new(lru::LruCache::<String, u64>::new(
            std::num::NonZeroUsize::new(ENTRIES).unwrap_or(std::num::NonZeroUsize::MIN),
        ))
    }),
    ("nearcache, adaptive, ttl", || Box::new(nearcache(EvictionPolicy::Adaptive, Some(TTL)))),
    ("nearcache, adaptive", || Box::new(nearcache(EvictionPolicy::Adaptive, None))),
    ("nearcache, lru, ttl", || Box::new(nearcache(EvictionPolicy::Lru, Some(TTL)))),
    ("nearcache, lru", || Box::new(nearcache(EvictionPolicy::Lru, None))),
    ("quick_cache", || Box::new(quick_cache::unsync::Cache::<String, u64>::new(ENTRIES))),
    ("mini-moka, ttl", || {
        Box::new(
            mini_moka::unsync::Cache::<String, u64>::builder().max_capacity(ENTRIES as u64).time_to_live(TTL).build(),
        )
    }),
];

fn nearcache(eviction: EvictionPolicy, ttl: Option<Duration>) -> Cache<String, u64> {
    let builder = Cache::builder().max_entries(ENTRIES as u64).eviction(eviction);
    match ttl {
        Some(ttl) => builder.time_to_live(ttl).build(),
        None => builder.build(),
    }
}

struct Trace {
    keys: Vec<String>,
    all: Vec<usize>,
    held: Vec<usize>,
}

/// How many of the gets were hits.
type Case = fn(&mut dyn Contender, &Trace) -> usize;

const CASES: [(&str, bool, Case); 3] = [
    ("get, insert on miss", false, |cache, trace| {
        let mut hits = 0;
        for &at in &trace.all {
            let key = &trace.keys[at];
            match black_box(cache.get(key)) {
                Some(_) => hits += 1,
                None => cache.insert(key, at as u64),
            }
        }
        hits
    }),
    ("hit", true, |cache, trace| {
        for &at in &trace.held {
            assert!(black_box(cache.get(&trace.keys[at])).is_some());
        }
        OPS
    }),
    ("insert that evicts", true, |cache, trace| {
        for (at, key) in trace.keys.iter().cycle().take(OPS).enumerate() {
            cache.insert(key, at as u64);
        }
        0
    }),
];

fn zipf(n: usize, seed: u64) -> Vec<usize> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..=n)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        cumulative.partition_point(|edge| *edge < at).min(n - 1)
    };
    (0..OPS).map(|_| draw()).collect()
}

/// What this thread has had of a core, which other work on the machine changes less than the time of day.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// `--count CASE NAME` runs one case once, for valgrind: `scripts/bench instructions`.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--fill") {
        return fill(&arguments[at + 1], arguments[at + 2].parse().unwrap_or(0));
    }
    let keys = (0..KEYS).map(|n| format!("https://api.example.com/v1/things/{n:014}")).collect();
    let trace = Trace { keys, all: zipf(KEYS, 42), held: zipf(ENTRIES, 43) };
    if let Some(at) = arguments.iter().position(|argument| argument == "--count") {
        return count(&arguments[at + 1], &arguments[at + 2], &trace);
    }
    println!("{:<22}{:<26}{:>8}{:>10}{:>8}", "case", "cache", "ns/op", "to lru", "hits");
    let (only, named) = (std::env::var("ONLY").unwrap_or_default(), std::env::var("CACHES").unwrap_or_default());
    let is_first = |name: &str| name == CONTENDERS[0].0;
    let contenders: Vec<_> =
        CONTENDERS.into_iter().filter(|(name, _)| is_first(name) || name.contains(&named)).collect();
    for (case, filled, run) in CASES {
        if !case.contains(&only) {
            continue;
        }
        let mut caches: Vec<_> = contenders.iter().map(|(_, make)| make()).collect();
        if filled {
            caches.iter_mut().for_each(|cache| fill_up(&mut **cache, &trace));
        }
        let (mut times, mut hits) = (vec![Vec::new(); caches.len()], vec![0; caches.len()]);
        for round in 0..=ROUNDS {
            for ((cache, times), hits) in caches.iter_mut().zip(&mut times).zip(&mut hits) {
                let start = cpu_time();
                *hits = run(&mut **cache, &trace);
                let time = (cpu_time() - start).as_nanos() as f64 / OPS as f64;
                if round > 0 {
                    times.push(time);
                }
            }
        }
        for (((name, _), its), hits) in contenders.iter().zip(&times).zip(hits) {
            // Round by round, so that what slows the machine down for a while slows both.
            let ratio = median(its.iter().zip(&times[0]).map(|(time, first)| time / first).collect());
            let hits = if case.starts_with("get") {
                format!("{:.1} %", hits as f64 / OPS as f64 * 100.0)
            } else {
                String::new()
            };
            println!("{case:<22}{name:<26}{:>8.1}{ratio:>10.2}{hits:>8}", median(its.clone()));
        }
    }
    if only.is_empty() && named.is_empty() {
        memory();
    }
}

fn fill_up(cache: &mut dyn Contender, trace: &Trace) {
    // Twice, so that admission policies have seen every key.
    for at in (0..ENTRIES).chain(0..ENTRIES) {
        if cache.get(&trace.keys[at]).is_none() {
            cache.insert(&trace.keys[at], at as u64);
        }
    }
}

/// One case with one cache, for who counts the instructions of [`counted`].
fn count(case: &str, name: &str, trace: &Trace) {
    let Some((_, filled, run)) = CASES.iter().find(|(its, ..)| *its == case) else { return };
    let Some((_, make)) = CONTENDERS.iter().find(|(its, _)| *its == name) else { return };
    let mut cache = make();
    if *filled {
        fill_up(&mut *cache, trace);
    }
    run(&mut *cache, trace);
    counted(*run, &mut *cache, trace);
}

#[inline(never)]
fn counted(run: Case, cache: &mut dyn Contender, trace: &Trace) {
    black_box(run(cache, trace));
}

const MEMORY: [&str; 5] = ["lru", "nearcache, adaptive, ttl", "nearcache, lru, ttl", "quick_cache", "mini-moka, ttl"];

/// Bytes per entry of full caches with keys and values of 8 bytes, each in a process of its own, by what it holds resident.
fn memory() {
    let Ok(itself) = std::env::current_exe() else { return };
    let grown = |name: &str, entries: usize| {
        let output = std::process::Command::new(&itself).args(["--fill", name, &entries.to_string()]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<f64>().ok()
    };
    println!("\n{:<26}{:>10}{:>10}{:>10}", "bytes per entry", 1_000, 100_000, 1_000_000);
    for name in MEMORY {
        let bytes = [1_000, 100_000, 1_000_000].map(|entries| match grown(name, entries) {
            Some(bytes) => format!("{:.0}", bytes / entries as f64),
            None => "?".to_owned(),
        });
        println!("{name:<26}{:>10}{:>10}{:>10}", bytes[0], bytes[1], bytes[2]);
    }
}

/// Fills so many caches that together they hold a million entries or more, twice over, so that ghosts and sketches are
/// there too, and prints by how many bytes the process grew for each.
fn fill(name: &str, entries: usize) {
    let count = (1_000_000 / entries.max(1)).max(1);
    let before = resident();
    let caches: Vec<Box<dyn std::any::Any>> = (0..count)
        .map(|_| {
            let keys = 0..2 * entries as u64;
            let filled: Box<dyn std::any::Any> = match name {
                "lru" => {
                    let size = std::num::NonZeroUsize::new(entries).unwrap_or(std::num::NonZeroUsize::MIN);
                    let mut cache = lru::LruCache::<u64, u64>::new(size);
                    keys.for_each(|key| _ = cache.put(key, key));
                    Box::new(cache)
                }
                "quick_cache" => {
                    let mut cache = quick_cache::unsync::Cache::<u64, u64>::new(entries);
                    keys.for_each(|key| cache.insert(key, key));
                    Box::new(cache)
                }
                "mini-moka, ttl" => {
                    let builder = mini_moka::unsync::Cache::<u64, u64>::builder().max_capacity(entries as u64);
                    let mut cache = builder.time_to_live(TTL).build();
                    keys.for_each(|key| cache.insert(key, key));
                    Box::new(cache)
                }
                name => {
                    let adaptive = name.contains("adaptive");
                    let policy = if adaptive { EvictionPolicy::Adaptive } else { EvictionPolicy::Lru };
                    let builder = Cache::<u64, u64>::builder().max_entries(entries as u64).time_to_live(TTL);
                    let cache = builder.eviction(policy).build();
                    keys.for_each(|key| _ = cache.insert(key, key));
                    Box::new(cache)
                }
            };
            filled
        })
        .collect();
    println!("{}", (resident().saturating_sub(before)) / count);
    drop(caches);
}

/// What the process holds of memory, in bytes, where the system says (Linux).
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|pages| pages.split_whitespace().nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
