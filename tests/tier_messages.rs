//! Messages of invalidation, and snapshots.
#![cfg(feature = "tier")]

#[path = "common/random.rs"]
mod random;

use nearcache::tier::message::{Action, Follower, Heed, Message, MessageError, Publisher, Purged};
use nearcache::tier::snapshot::{Reader, SnapshotError, Writer};
use nearcache::tier::{Envelope, Kind, Lifetimes, Refused, Seal};
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn tag(name: &str) -> Purged {
    Purged::Tag(name.to_owned())
}

#[test]
fn a_message_of_another_service_is_read_and_ours_is_as_documented() {
    let text =
        r#"{"v":1,"source":"orders-7f3a","seq":12,"at":1774000000000,"entity":"order","id":"42","action":"update"}"#;
    let message = Message::parse(text).unwrap();
    assert_eq!(message.to_json(), text);
    assert_eq!(message.purged(), tag("order:42"));
    let plain = Message::parse(r#" {"action":"delete", "entity":"order", "v":1, "more": {"x": []}} "#).unwrap();
    assert_eq!(plain, Message::new("order", None, Action::Delete));
    assert_eq!(plain.purged(), tag("order"));
    assert_eq!(Message::new("order", Some("1".into()), Action::Create).purged(), tag("order"));
    assert_eq!(Message::parse(&Message::clear().to_json()).unwrap().purged(), Purged::Everything);
}

#[test]
fn tags_urls_and_prefixes_are_purged_or_made_stale() {
    for (text, purged, soft) in [
        (r#"{"v":1,"tag":"news","action":"delete"}"#, tag("news"), false),
        (r#"{"v":1,"tag":"news","action":"expire"}"#, tag("news"), true),
        (r#"{"v":1,"url":"example.com/a?b","action":"update"}"#, Purged::Url("example.com/a?b".into()), false),
        (r#"{"v":1,"prefix":"/img/","action":"expire"}"#, Purged::Prefix("/img/".into()), true),
        (r#"{"v":1,"entity":"order","id":"1","action":"expire"}"#, tag("order:1"), true),
        (r#"{"v":1,"action":"expire"}"#, Purged::Everything, true),
    ] {
        let message = Message::parse(text).unwrap();
        assert_eq!((message.purged(), message.is_soft(), message.to_json().as_str()), (purged, soft, text));
    }
}

#[test]
fn what_is_no_message_is_refused_with_what_is_wrong() {
    let refused = |text: &str| Message::parse(text).unwrap_err();
    assert_eq!(refused(&" ".repeat(5_000)), MessageError::TooLong);
    assert_eq!(refused(r#"{"v":2,"action":"clear"}"#), MessageError::Version(2));
    for text in [
        "",
        "[]",
        "null",
        r#"{"action":"clear"}"#,
        r#"{"v":1}"#,
        r#"{"v":1,"entity":"a","action":"explode"}"#,
        r#"{"v":1,"entity":"a","action":"clear"}"#,
        r#"{"v":1,"action":"update"}"#,
        r#"{"v":1,"tag":"a","action":"clear"}"#,
        r#"{"v":1,"tag":"a","url":"b","action":"delete"}"#,
        r#"{"v":1,"tag":"a","id":"b","action":"delete"}"#,
        r#"{"v":1,"url":"","action":"delete"}"#,
        r#"{"v":1,"id":"1","action":"clear"}"#,
        r#"{"v":1,"entity":"","action":"update"}"#,
        r#"{"v":1,"entity":"a\u0000","action":"update"}"#,
        r#"{"v":1,"entity":7,"action":"update"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":"1"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":0}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":9007199254740992}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"","seq":1}"#,
    ] {
        assert!(matches!(refused(text), MessageError::Malformed(_)), "{text}");
    }
}

#[test]
fn lost_messages_are_noticed_and_repeated_ones_ignored() {
    let mut publisher = Publisher::new("a");
    let mut publish = || publisher.publish(Message::new("order", Some("1".into()), Action::Update), 7);
    let messages: Vec<_> = (0..6).map(|_| publish()).collect();
    let mut follower = Follower::default();
    let purge = Heed::Purge { purged: tag("order:1"), soft: false };
    assert_eq!(follower.handle(&messages[0]), purge);
    assert_eq!(follower.handle(&messages[1]), purge);
    assert_eq!(follower.handle(&messages[1]), Heed::Nothing);
    assert_eq!(follower.handle(&messages[4]), Heed::Clear { missed: Some((3, 4)) });
    assert_eq!(follower.handle(&messages[3]), Heed::Nothing, "that late it is among what was cleared");
    assert_eq!(follower.handle(&messages[5]), purge);
    assert_eq!(follower.gaps(), 1);
    assert_eq!(follower.handle_reconnected(), Heed::Clear { missed: None });
    assert_eq!(follower.handle_refused(), Heed::Clear { missed: None });
    assert_eq!(follower.handle(&Message::clear()), Heed::Clear { missed: None });
}

#[test]
fn any_loss_in_any_order_of_sources_leads_to_a_purge_or_a_clear() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..200 {
        let mut publishers: Vec<_> = (0..3).map(|n| Publisher::new(format!("s{n}"))).collect();
        let mut follower = Follower::default();
        // By source: what was lost since it was heard last.
        let mut lost = [0; 3];
        let mut heard = [false; 3];
        for id in 0..100 {
            let source = random.below(3) as usize;
            let message = publishers[source].publish(Message::new("e", Some(id.to_string()), Action::Update), 0);
            if random.one_in(5) {
                lost[source] += u64::from(heard[source]);
                continue;
            }
            match follower.handle(&message) {
                Heed::Purge { purged, .. } => assert_eq!((purged, lost[source]), (tag(&format!("e:{id}")), 0)),
                Heed::Clear { missed: Some((first, last)) } => assert_eq!(last + 1 - first, lost[source]),
                other => panic!("{other:?}"),
            }
            (lost[source], heard[source]) = (0, true);
        }
    }
}

fn record<'a>(name: &'a str, payload: &'a [u8]) -> Envelope<'a> {
    let at = Timestamp::from_millis;
    let lifetimes = Lifetimes { ttl: Ttl::Forever, stale_while_revalidate: Ttl::ZERO, stale_if_error: Ttl::Millis(9) };
    let (codec, compressed, weight, tags) = (1, false, Some(3), vec!["t"]);
    let (kind, generation, stored_at) = (Kind::Value, at(1), at(2));
    Envelope { kind, codec, compressed, generation, stored_at, lifetimes, weight, name, tags, payload }
}

fn snapshot(seal: &Seal, names: &[String]) -> Vec<u8> {
    let (mut writer, mut bytes) = Writer::new("users 1", Timestamp::from_millis(5), seal.clone()).unwrap();
    for name in names {
        bytes.extend(writer.record(&record(name, name.as_bytes())).unwrap());
    }
    bytes.extend(writer.finish());
    bytes
}

fn read(bytes: &[u8], schema: &str, seal: &Seal, piece: usize) -> Result<Vec<String>, SnapshotError> {
    let mut reader = Reader::new(schema, seal.clone());
    let mut names = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        while let Some(bytes) = reader.poll()? {
            let envelope = reader.open(&bytes)?;
            assert_eq!(envelope, record(envelope.name, envelope.name.as_bytes()));
            names.push(envelope.name.to_owned());
        }
    }
    assert_eq!(reader.finish()?, names.len() as u64);
    Ok(names)
}

fn seals() -> [Seal; 2] {
    [Seal::default(), Seal::default().with_secret(b"secret")]
}

#[test]
fn a_snapshot_comes_back_in_its_order_in_pieces_of_any_size() {
    for seal in seals() {
        for count in [0, 1, 100] {
            let names: Vec<_> = (0..count).map(|n| format!("v:::{n}")).collect();
            let bytes = snapshot(&seal, &names);
            for piece in [1, 7, 1_000, bytes.len()] {
                assert_eq!(read(&bytes, "users 1", &seal, piece).as_ref(), Ok(&names));
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_kind_is_refused_clearly() {
    let [plain, signed] = seals();
    let bytes = snapshot(&plain, &["a".into()]);
    assert_eq!(read(&bytes, "users 2", &plain, 9), Err(SnapshotError::Schema("users 1".into())));
    assert_eq!(read(&bytes, "users 1", &signed, 9), Err(SnapshotError::Signature));
    assert_eq!(read(&snapshot(&signed, &[]), "users 1", &plain, 9), Err(SnapshotError::Signature));
    let other = Seal::default().with_secret(b"other");
    let unknown = SnapshotError::Broken(Refused::UnknownSigner);
    assert_eq!(read(&snapshot(&signed, &["a".into()]), "users 1", &other, 9), Err(unknown));
    assert_eq!(read(b"{\"users\":[]}", "users 1", &plain, 9), Err(SnapshotError::Foreign));
    let mut newer = bytes.clone();
    newer[4] = 2;
    assert_eq!(read(&newer, "users 1", &plain, 9), Err(SnapshotError::Version(2)));
    assert_eq!(read(&bytes[..bytes.len() - 1], "users 1", &plain, 9), Err(SnapshotError::Truncated));
    assert_eq!(read(b"", "users 1", &plain, 9), Err(SnapshotError::Truncated));
}

#[test]
fn a_record_that_was_left_out_doubled_or_moved_is_noticed() {
    for seal in seals() {
        let names: Vec<_> = (0..3).map(|n| format!("v:::{n}")).collect();
        let head = snapshot(&seal, &[]).len() - 4 - 8 - if seal.signs() { 36 } else { 8 };
        let bytes = snapshot(&seal, &names);
        let length = 4 + u32::from_le_bytes(bytes[head..head + 4].try_into().unwrap()) as usize;
        let record = |n: usize| &bytes[head + n * length..head + (n + 1) * length];
        let end = &bytes[head + 3 * length..];
        let broken: [&[usize]; 4] = [&[0, 1], &[0, 1, 2, 2], &[1, 0, 2], &[0, 0, 2]];
        for order in broken {
            let records: Vec<u8> = order.iter().flat_map(|&n| record(n).to_vec()).collect();
            let bytes = [&bytes[..head], &records, end].concat();
            assert!(read(&bytes, "users 1", &seal, 50).is_err(), "{order:?}");
        }
    }
}

#[test]
fn no_broken_byte_of_a_snapshot_goes_unnoticed_or_panics() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for seal in seals() {
        let bytes = snapshot(&seal, &["a".into(), "b".into(), "a longer name".into()]);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << random.below(8);
            assert!(read(&broken, "users 1", &seal, 64).is_err(), "byte {at}");
        }
        for _ in 0..if cfg!(target_family = "wasm") { 1_000 } else { 20_000 } {
            let mut broken = bytes.clone();
            broken.truncate(random.below(bytes.len() as u64 + 1) as usize);
            for _ in 0..random.below(6) {
                if !broken.is_empty() {
                    let at = random.below(broken.len() as u64) as usize;
                    broken[at] = random.next() as u8;
                }
            }
            let same = broken == bytes;
            assert_eq!(read(&broken, "users 1", &seal, 1 + random.below(80) as usize).is_ok(), same);
        }
    }
}
