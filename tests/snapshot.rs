//! What a cache holds as bytes, and back.
#![cfg(feature = "snapshot")]

use std::io::Cursor;
use std::time::Duration;

use nearcache::core::EvictionPolicy;
use nearcache::options::PolicyPatch;
use nearcache::tier::snapshot::SnapshotError;
use nearcache::{Cache, EntryOptions, EntryState, ManualClock, SnapshotFailure, SnapshotFormat, SnapshotOptions, Ttl};
use serde::{Deserialize, Serialize};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A process: its cache's clock begins at 0, whatever the time of day is.
struct Process {
    clock: ManualClock,
    day: ManualClock,
}

impl Process {
    fn at(day: &ManualClock) -> Self {
        Self { clock: ManualClock::new(), day: day.clone() }
    }

    fn cache<K: std::hash::Hash + Eq + 'static, V: Clone + 'static>(&self, max_entries: u64) -> Cache<K, V> {
        let builder = Cache::builder().max_entries(max_entries).time_to_live(secs(60)).clock(self.clock.clone());
        builder.build()
    }

    fn options(&self) -> SnapshotOptions {
        SnapshotOptions::new().schema("test 1").clock(self.day.clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.day.advance(by);
    }
}

fn a_day() -> ManualClock {
    let day = ManualClock::new();
    day.advance(secs(1_700_000_000));
    day
}

fn filled(process: &Process, count: u32) -> Cache<u32, String> {
    let cache = process.cache(100_000);
    (0..count).for_each(|n| _ = cache.insert(n, format!("value {n}")));
    cache
}

#[test]
fn a_restart_starts_warm_with_what_is_left_of_each_life() {
    let day = a_day();
    for format in [SnapshotFormat::Json, SnapshotFormat::MessagePack] {
        let process = Process::at(&day);
        let cache: Cache<String, Option<(u32, Vec<u8>)>> = process.cache(100);
        cache.insert("plain".into(), Some((1, vec![0, 255])));
        cache.insert_with("#odd".into(), None, EntryOptions::new().ttl(secs(5)));
        cache.insert_with(
            "stale".into(),
            Some((2, vec![])),
            EntryOptions::new().ttl(secs(1)).stale_if_error(secs(600)).tags(["t", "u"]),
        );
        let posts = cache.namespace("posts/é", PolicyPatch::new()).unwrap();
        posts.scope("").scope("b:o%b").insert_with(
            "p".into(),
            Some((3, vec![])),
            EntryOptions::new().tags(["t"]).weight(9),
        );
        process.advance(secs(2));
        let (mut bytes, options) = (Vec::new(), process.options().format(format));
        let saved = cache.save_snapshot(&options, &mut bytes).unwrap();
        assert_eq!((saved.entries, saved.bytes, saved.skipped), (4, bytes.len() as u64, 0));

        day.advance(secs(4));
        let process = Process::at(&day);
        let again: Cache<String, Option<(u32, Vec<u8>)>> = process.cache(100);
        let loaded = again.load_snapshot(&process.options().format(format), Cursor::new(&bytes)).unwrap();
        assert_eq!((loaded.entries, loaded.expired), (3, 1), "{format:?}");
        assert_eq!(again.get("plain"), Some(Some((1, vec![0, 255]))));
        assert_eq!(again.remaining_ttl("plain"), Some(Ttl::Millis(54_000)));
        let info = again.info("stale").unwrap();
        let mut tags = info.tags.clone();
        tags.sort();
        assert_eq!((info.state, tags), (EntryState::Stale, vec!["t".to_owned(), "u".to_owned()]));
        let posts = again.namespace("posts/é", PolicyPatch::new()).unwrap().scope("").scope("b:o%b");
        assert_eq!((posts.get("p"), posts.weight()), (Some(Some((3, vec![]))), 9));
        assert_eq!((again.remove_by_tag("t"), posts.get("p"), again.len()), (2, None, 1));
        process.advance(secs(54));
        assert_eq!(again.get("plain"), None);
    }
}

#[test]
fn keys_of_any_type_come_back() {
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    enum Key {
        User { id: u64, of: Option<String> },
        All,
        Pair(i8, bool),
    }
    let process = Process::at(&a_day());
    fn round<K>(process: &Process, keys: &[K])
    where
        K: std::hash::Hash + Eq + Clone + Serialize + for<'a> Deserialize<'a> + std::fmt::Debug + 'static,
    {
        let cache: Cache<K, usize> = process.cache(100);
        keys.iter().enumerate().for_each(|(n, key)| _ = cache.insert(key.clone(), n));
        let mut bytes = Vec::new();
        cache.save_snapshot(&process.options(), &mut bytes).unwrap();
        let again: Cache<K, usize> = process.cache(100);
        again.load_snapshot(&process.options(), Cursor::new(&bytes)).unwrap();
        keys.iter().enumerate().for_each(|(n, key)| assert_eq!(again.get(key), Some(n), "{key:?}"));
    }
    round(
        &process,
        &[
            Key::All,
            Key::User { id: u64::MAX, of: None },
            Key::User { id: 1, of: Some("#".into()) },
            Key::Pair(-1, true),
        ],
    );
    round(&process, &["", "#", "#s", "a", "ü\0"].map(str::to_owned));
    round(&process, &[Some(true), Some(false), None]);
    round(&process, &[i64::MIN, 0, i64::MAX]);
    round(&process, &[()]);
    round(&process, &[vec![1, 2], vec![]]);
}

#[test]
fn what_serde_refuses_is_left_out_and_counted() {
    let process = Process::at(&a_day());
    let cache: Cache<u32, std::collections::BTreeMap<(u8, u8), u8>> = process.cache(100);
    cache.insert(1, [((1, 2), 3)].into());
    cache.insert(2, [].into());
    let mut bytes = Vec::new();
    let saved = cache.save_snapshot(&process.options(), &mut bytes).unwrap();
    assert_eq!((saved.entries, saved.skipped), (1, 1));
    let other: Cache<u32, bool> = process.cache(100);
    let loaded = other.load_snapshot(&process.options(), Cursor::new(&bytes)).unwrap();
    assert_eq!((loaded.entries, loaded.unreadable), (0, 1));
}

#[test]
fn a_refused_snapshot_says_why_and_changes_nothing() {
    let process = Process::at(&a_day());
    let secret = b"a secret of 32 bytes ...........";
    let mut bytes = Vec::new();
    filled(&process, 20_000).save_snapshot(&process.options(), &mut bytes).unwrap();
    process.advance(secs(10));
    let refused = |options: SnapshotOptions, bytes: &[u8]| {
        let cache: Cache<u32, String> = process.cache(100_000);
        cache.insert(0, "own".into());
        let error = cache.load_snapshot(&options, Cursor::new(bytes)).unwrap_err();
        assert_eq!((cache.len(), cache.get(&0)), (1, Some("own".into())));
        assert_eq!(error.code(), "ERR_SNAPSHOT");
        // A cache like any other.
        let loaded = cache.load_snapshot(&process.options(), Cursor::new(bytes));
        assert!(loaded.is_err() || loaded.is_ok_and(|loaded| loaded.entries == 19_999 && loaded.present == 1));
        error
    };
    let options = || process.options();
    let schema = refused(options().schema("test 2"), &bytes);
    assert_eq!(schema.to_string(), r#"the snapshot is of the schema "test 1"; "test 2" is wanted"#);
    let format = refused(options().format(SnapshotFormat::MessagePack), &bytes);
    assert!(matches!(format, SnapshotFailure::Refused(SnapshotError::Codec(1, 2))));
    let unsigned = refused(options().secret(secret), &bytes);
    assert!(matches!(unsigned, SnapshotFailure::Refused(SnapshotError::Signature { signed: false })));
    assert!(matches!(refused(options().max_age(secs(9)), &bytes), SnapshotFailure::TooOld(10_000, 9_000)));
    let half = refused(options(), &bytes[..bytes.len() / 2]);
    assert!(matches!(half, SnapshotFailure::Refused(SnapshotError::Truncated)));
    for at in [5, 30, bytes.len() / 2, bytes.len() - 1] {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        refused(options(), &broken);
    }
    let mut signed = Vec::new();
    filled(&process, 3).save_snapshot(&options().secret(secret), &mut signed).unwrap();
    let rotated = options().secret(b"another secret of 32 bytes .....").secret(secret);
    let cache: Cache<u32, String> = process.cache(10);
    assert_eq!(cache.load_snapshot(&rotated, Cursor::new(&signed)).unwrap().entries, 3);
}

#[test]
fn a_smaller_cache_keeps_what_is_worth_most_and_a_present_key_its_value() {
    let process = Process::at(&a_day());
    let lru = |entries| {
        let builder = Cache::<u32, String>::builder().max_entries(entries).clock(process.clock.clone());
        builder.eviction(EvictionPolicy::Lru).build()
    };
    let cache = lru(100);
    (0..100).for_each(|n| _ = cache.insert(n, n.to_string()));
    [7, 3].iter().for_each(|n| _ = cache.get(n));
    let mut bytes = Vec::new();
    cache.save_snapshot(&process.options(), &mut bytes).unwrap();
    let small = lru(5);
    small.insert(99, "newer".into());
    let loaded = small.load_snapshot(&process.options(), Cursor::new(&bytes)).unwrap();
    assert_eq!((loaded.entries, loaded.present, loaded.no_room), (4, 1, 95));
    assert_eq!(small.iter().map(|(key, _)| key).collect::<Vec<_>>(), [99, 3, 7, 98, 97]);
    assert_eq!(small.peek(&99), Some("newer".into()));
}

#[test]
fn the_cache_may_be_used_between_chunks_of_a_save() {
    let process = Process::at(&a_day());
    let cache = filled(&process, 20_000);
    let mut chunks = cache.snapshot_chunks(&process.options()).unwrap();
    let mut bytes = Vec::new();
    for n in 0.. {
        let Some(chunk) = chunks.next() else { break };
        bytes.extend(chunk.unwrap());
        if n == 2 {
            cache.remove(&0);
            cache.remove(&19_999);
            cache.insert(1, "changed".into());
            cache.insert(19_998, "changed".into());
        }
    }
    let again: Cache<u32, String> = process.cache(100_000);
    let loaded = again.load_snapshot(&process.options(), Cursor::new(&bytes)).unwrap();
    assert_eq!(loaded.entries, chunks.saved().entries);
    assert_eq!((again.get(&0), again.get(&19_999)), (None, None));
    for key in [1, 19_998] {
        assert!([None, Some("changed".to_owned())].contains(&again.get(&key)), "{key}: never the older one");
    }
    assert!(loaded.entries >= 19_996 && again.get(&500) == Some("value 500".into()));
    // As a stream, where what is dropped is told at the end.
    let streamed: Cache<u32, String> = process.cache(100_000);
    let mut loader = streamed.snapshot_loader(&process.options());
    bytes.chunks(1_000).for_each(|piece| loader.push(piece).unwrap());
    assert_eq!(loader.finish().unwrap(), loaded);
    assert_eq!((streamed.get(&0), streamed.get(&19_999), streamed.len()), (None, None, again.len()));
}

#[test]
fn what_is_set_removed_or_purged_while_a_stream_is_loaded_is_not_put_back() {
    let process = Process::at(&a_day());
    let cache: Cache<u32, String> = process.cache(100_000);
    cache.insert_with(100_000, "old".into(), EntryOptions::new().tags(["t"]));
    (100_001..100_004).for_each(|n| _ = cache.insert(n, "old".into()));
    (0..20_000).for_each(|n| _ = cache.insert(n, format!("value {n}")));
    // The last of them come last.
    let mut bytes = Vec::new();
    cache.save_snapshot(&process.options(), &mut bytes).unwrap();
    let mut last: Vec<u32> = cache.iter().map(|(key, _)| key).filter(|key| *key < 100_000).collect();
    last.drain(..last.len() - 4);
    let again: Cache<u32, String> = process.cache(100_000);
    let mut loader = again.snapshot_loader(&process.options());
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    loader.push(first).unwrap();
    assert!(again.len() > 1_000 && last.iter().all(|key| !again.contains(key)));
    again.remove(&last[0]);
    again.expire(&last[1]);
    again.insert(last[2], "new".into());
    again.insert(last[3], "new".into());
    again.remove(&last[3]);
    again.remove_by_tag("t");
    loader.push(rest).unwrap();
    let loaded = loader.finish().unwrap();
    assert_eq!((loaded.purged, loaded.present), (4, 1));
    assert_eq!([0, 1, 2, 3].map(|n| again.get(&last[n])), [None, None, Some("new".into()), None]);
    assert_eq!(again.get(&100_000), None);
}

#[test]
fn a_broken_stream_leaves_right_values_only() {
    let process = Process::at(&a_day());
    let mut bytes = Vec::new();
    filled(&process, 20_000).save_snapshot(&process.options(), &mut bytes).unwrap();
    let at = bytes.len() - 60_000;
    bytes[at] ^= 1;
    let cache: Cache<u32, String> = process.cache(100_000);
    let mut loader = cache.snapshot_loader(&process.options());
    assert!(bytes.chunks(999).any(|piece| loader.push(piece).is_err()));
    assert!(loader.finish().is_err());
    assert!(cache.len() > 5_000 && cache.iter().all(|(key, value)| value == format!("value {key}")));
}

#[test]
fn a_save_that_is_begun_later_ends_the_one_before() {
    let process = Process::at(&a_day());
    let cache = filled(&process, 3);
    let older = cache.snapshot_chunks(&process.options()).unwrap();
    let newer = cache.snapshot_chunks(&process.options()).unwrap();
    assert!(older.map(Result::err).any(|error| matches!(error, Some(SnapshotFailure::Superseded))));
    assert!(newer.map(Result::err).all(|error| error.is_none()));
}

/// A cache that never ends, as both faces make it: `tests/tiers/snapshots.mjs` has the same.
fn shared(cache: &Cache<serde_json::Value, serde_json::Value>) {
    let value = |text| serde_json::from_str(text).unwrap();
    cache.insert(value(r##""#odd""##), value(r#"{"a":[1,"ü",null]}"#));
    cache.insert_with(value("7"), value("true"), EntryOptions::new().tags(["t"]));
    cache.namespace("n/1", PolicyPatch::new()).unwrap().scope("s").insert(value("null"), value(r#""text""#));
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn what_the_class_saved_as_json_is_read() {
    let saved_by_class = concat!(
        "6e63737301000144956d0aaf8e0900e0063900a201000064000400626f746882dc01fd3710b7536f00000044956d0aaf8e09",
        "00000000000000e1063900a201000000076e253246313a730100000109022330010622746578742200013a01800101130101",
        "744903236e37010474727565010001208901062373236f646401137b2261223a5b312c22c3bc222c6e756c6c5d7dc0abd979",
        "f0ea7d422000000044956d0aaf8e0900010001000000ec063900a20100000300d5d44c1575591c92",
    );
    let read: Cache<serde_json::Value, serde_json::Value> = Cache::new_with_max_entries(9);
    let loaded =
        read.load_snapshot(&SnapshotOptions::new().schema("both"), Cursor::new(unhex(saved_by_class))).unwrap();
    assert_eq!((loaded.entries, loaded.unreadable), (3, 0));
    let wanted: Cache<serde_json::Value, serde_json::Value> = Cache::new_with_max_entries(9);
    shared(&wanted);
    wanted.iter().for_each(|(key, value)| assert_eq!(read.get(&key), Some(value), "{key}"));
    let inner = read.namespace("n/1", PolicyPatch::new()).unwrap().scope("s");
    assert_eq!(inner.get(&serde_json::Value::Null), Some("text".into()));
    assert_eq!(read.remove_by_tag("t"), 1);
    let mut bytes = Vec::new();
    wanted.save_snapshot(&SnapshotOptions::new().schema("both"), &mut bytes).unwrap();
    println!("for tests/tiers/snapshots.mjs: {}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn the_example_starts_warm_the_second_time() {
    // Beside this test's own folder, where cargo builds examples with the tests.
    let target = std::env::current_exe().unwrap().parent().and_then(|deps| deps.parent()).unwrap().to_owned();
    let example = target.join("examples").join(format!("snapshot{}", std::env::consts::EXE_SUFFIX));
    assert!(
        example.exists(),
        "{} is missing: cargo builds it with `--examples`, or without `--test`",
        example.display()
    );
    let file = std::env::temp_dir().join(format!("nearcache-example-{}.snapshot", std::process::id()));
    let run = || {
        let output =
            std::process::Command::new(&example).arg(&file).arg("500").output().expect("it is built with the tests");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (first, second) = (run(), run());
    std::fs::write(&file, b"ncss, but broken").unwrap();
    let third = run();
    std::fs::remove_file(&file).unwrap();
    assert!(first.starts_with("cold: no snapshot yet\n500 loads\n"), "{first}");
    assert!(second.starts_with("500 entries after ") && second.contains("\n0 loads\n"), "{second}");
    assert!(third.starts_with("cold: the snapshot is") && third.contains("\n500 loads\n"), "{third}");
}

#[test]
fn what_nobody_weighed_does_not_come_back_past_a_bound_of_bytes() {
    let process = Process::at(&a_day());
    let mut bytes = Vec::new();
    filled(&process, 3).save_snapshot(&process.options(), &mut bytes).unwrap();
    let again = |builder: nearcache::Builder<u32, String>| {
        let cache = builder.max_bytes(1_000).clock(process.clock.clone()).build();
        let loaded = cache.load_snapshot(&process.options(), Cursor::new(&bytes)).unwrap();
        (loaded.entries, loaded.unreadable, cache.weight())
    };
    assert_eq!(again(Cache::builder()), (0, 3, 0));
    assert_eq!(again(Cache::builder().weigher(|_, value: &String| value.len() as u32)), (3, 0, 21));
}
