//! The format of snapshots.
#![cfg(feature = "tier")]

#[path = "common/random.rs"]
mod random;

use nearcache::core::Record;
use nearcache::tier::snapshot::{Head, Piece, Reader, SnapshotError, Writer, parse};
use nearcache::tier::{Refused, Seal};
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SCHEMA: &str = "users 1";

fn head() -> Head {
    Head { schema: SCHEMA.into(), codec: 1, id: 7, taken_at: Timestamp::from_millis(5), cold_share: 400 }
}

/// One entry with everything, one with nothing.
fn records() -> [Record; 2] {
    let all = Record {
        age: 70_000,
        ttl: Ttl::Millis(1 << 40),
        stale_while_revalidate: Ttl::Forever,
        stale_if_error: Ttl::Millis(1),
        idle_ttl: Ttl::Millis(127),
        unused: 128,
        spread: 0.5,
        checked: true,
        weight: u32::MAX - 1,
        standing: u32::MAX,
    };
    [all, Record::NEW]
}

const PARTS: [&str; 3] = [":", "posts:", "posts:ann"];

/// So many entries in each chunk.
fn snapshot(seal: &Seal, chunks: &[u32], dropped: &[u32]) -> Vec<u8> {
    let (mut writer, mut bytes) = Writer::new(&head(), seal.clone()).unwrap();
    for (number, count) in chunks.iter().enumerate() {
        for n in 0..*count as usize {
            let tags = if n % 2 == 0 { &["t", "ü"][..] } else { &[] };
            let (part, key, record) = (PARTS[n % 3], format!("key {number} {n}"), records()[n % 2]);
            writer.add(part, &key, record, tags.iter().copied(), 1, key.as_bytes()).unwrap();
        }
        let payload = writer.take();
        bytes.extend(writer.chunk(Timestamp::from_millis(number as u64), &payload, false));
    }
    bytes.extend(writer.finish(Timestamp::from_millis(99), dropped));
    bytes
}

/// The keys, and what is dropped.
fn read(bytes: &[u8], reader: &mut Reader, piece: usize) -> Result<(Vec<String>, Vec<u32>), SnapshotError> {
    let (mut keys, mut all) = (Vec::new(), None);
    for bytes in bytes.chunks(piece.max(1)) {
        reader.push(bytes);
        while let Some(piece) = reader.poll()? {
            match piece {
                Piece::Head(read) => assert_eq!(Head { id: 7, ..read }, head()),
                Piece::Entries { payload, compressed, .. } => {
                    assert!(!compressed);
                    let (parts, entries) = parse(&payload)?;
                    for (n, entry) in entries.into_iter().enumerate() {
                        let tags = if n % 2 == 0 { &["t", "ü"][..] } else { &[] };
                        assert_eq!((entry.record, parts[entry.part], entry.codec), (records()[n % 2], PARTS[n % 3], 1));
                        assert_eq!((entry.tags, entry.payload), (tags.to_vec(), entry.key.as_bytes()));
                        keys.push(entry.key.to_owned());
                    }
                }
                Piece::End { entries, dropped } => all = Some((entries, dropped)),
            }
        }
    }
    reader.finish()?;
    let (entries, dropped) = all.expect("an end");
    assert_eq!(entries, keys.len() as u64);
    Ok((keys, dropped))
}

fn by(seal: &Seal) -> Reader {
    Reader::new(SCHEMA, 1, seal.clone())
}

fn error(bytes: &[u8], mut reader: Reader) -> SnapshotError {
    read(bytes, &mut reader, 9).unwrap_err()
}

fn seals() -> [Seal; 2] {
    [Seal::default(), Seal::default().with_secret(b"secret")]
}

#[test]
fn a_snapshot_comes_back_in_its_order_in_pieces_of_any_size() {
    for seal in seals() {
        for chunks in [&[][..], &[1], &[100, 0, 3]] {
            for dropped in [&[][..], &[0], &[0, 1, 7, u32::MAX]] {
                let bytes = snapshot(&seal, chunks, dropped);
                let keys = chunks.iter().enumerate().flat_map(|(at, n)| (0..*n).map(move |n| format!("key {at} {n}")));
                let wanted = Ok((keys.collect::<Vec<_>>(), dropped.to_vec()));
                for piece in [1, 7, 1_000, bytes.len()] {
                    assert_eq!(read(&bytes, &mut by(&seal), piece), wanted);
                }
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_kind_is_refused_clearly() {
    let [plain, signed] = seals();
    let bytes = snapshot(&plain, &[1], &[]);
    let schema = error(&bytes, Reader::new("users 2", 1, plain.clone()));
    assert_eq!(schema, SnapshotError::Schema(SCHEMA.into(), "users 2".into()));
    assert_eq!(schema.to_string(), r#"the snapshot is of the schema "users 1"; "users 2" is wanted"#);
    assert_eq!(error(&bytes, Reader::new(SCHEMA, 2, plain.clone())), SnapshotError::Codec(1, 2));
    assert_eq!(error(&bytes, by(&signed)), SnapshotError::Signature { signed: false });
    let theirs = snapshot(&signed, &[1], &[]);
    assert_eq!(error(&theirs, by(&plain)), SnapshotError::Signature { signed: true });
    let other = Seal::default().with_secret(b"other");
    assert_eq!(error(&theirs, by(&other)), SnapshotError::Broken(Refused::UnknownSigner));
    assert!(read(&theirs, &mut by(&other.with_secret(b"secret")), 9).is_ok(), "a secret that is rotated out");
    assert_eq!(error(b"{\"users\":[]}", by(&plain)), SnapshotError::Foreign);
    let mut newer = bytes.clone();
    newer[4] = 2;
    assert_eq!(error(&newer, by(&plain)), SnapshotError::Version(2));
    for length in [0, 3, 20, 60, bytes.len() - 1] {
        assert_eq!(error(&bytes[..length], by(&plain)), SnapshotError::Truncated, "{length}");
    }
    assert_eq!(error(&[&bytes[..], &[0]].concat(), by(&plain)), SnapshotError::Trailing);
}

#[test]
fn a_chunk_that_was_left_out_doubled_moved_or_of_another_snapshot_is_noticed() {
    for seal in seals() {
        let bytes = snapshot(&seal, &[2, 2, 2], &[]);
        let mut at = vec![Writer::new(&head(), seal.clone()).unwrap().1.len()];
        while let Some(from) = at.last().copied().filter(|from| *from < bytes.len()) {
            at.push(from + 4 + u32::from_le_bytes(bytes[from..from + 4].try_into().unwrap()) as usize);
        }
        let chunk = |n: usize| &bytes[at[n]..at[n + 1]];
        let orders: [&[usize]; 5] = [&[0, 1, 3], &[0, 1, 2, 2, 3], &[1, 0, 2, 3], &[0, 0, 2, 3], &[3]];
        for order in orders {
            let chunks: Vec<u8> = order.iter().flat_map(|&n| chunk(n).to_vec()).collect();
            assert_eq!(error(&[&bytes[..at[0]], &chunks].concat(), by(&seal)), SnapshotError::Order, "{order:?}");
        }
        let (_, other) = Writer::new(&Head { id: 8, ..head() }, seal.clone()).unwrap();
        assert_eq!(
            read(&[&other, &bytes[at[0]..]].concat(), &mut Reader::new(SCHEMA, 1, seal.clone()), 999).err(),
            Some(SnapshotError::Order)
        );
    }
}

#[test]
fn no_broken_byte_of_a_snapshot_goes_unnoticed_or_panics() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for seal in seals() {
        let bytes = snapshot(&seal, &[3, 2], &[1]);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << random.below(8);
            assert!(read(&broken, &mut by(&seal), 64).is_err(), "byte {at}");
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
            assert_eq!(read(&broken, &mut by(&seal), 1 + random.below(80) as usize).is_ok(), same);
        }
    }
}

#[test]
fn bytes_that_somebody_made_up_as_a_chunk_are_read_or_refused() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let (mut writer, _) = Writer::new(&head(), Seal::default()).unwrap();
    for n in 0..6 {
        writer.add(PARTS[n % 3], "key", records()[n % 2], ["t"], 1, b"value").unwrap();
    }
    let payload = writer.take();
    assert_eq!(parse(&payload).map(|(_, entries)| entries.len()), Ok(6));
    let mut refused = 0;
    let count = if cfg!(target_family = "wasm") { 5_000 } else { 200_000 };
    for _ in 0..count {
        let mut bytes = payload.clone();
        bytes.truncate(random.below(payload.len() as u64 + 1) as usize);
        for _ in 0..random.below(5) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next() as u8;
            }
        }
        match parse(&bytes) {
            Ok((_, entries)) => assert!(entries.iter().all(|entry| entry.record.spread >= 0.0)),
            Err(error) => {
                assert_eq!(error, SnapshotError::Broken(Refused::Malformed));
                refused += 1;
            }
        }
    }
    assert!(refused > count / 2, "{refused}");
}

#[test]
fn an_entry_that_fits_into_no_chunk_is_refused_alone() {
    let (mut writer, mut bytes) = Writer::new(&head(), Seal::default()).unwrap();
    let large = vec![0; 33 * 1024 * 1024];
    assert_eq!(writer.add(PARTS[0], "large", Record::NEW, [], 1, &large), Err(SnapshotError::TooLarge));
    assert!(writer.is_empty());
    writer.add(PARTS[0], "key 0 0", records()[0], ["t", "ü"], 1, b"key 0 0").unwrap();
    let payload = writer.take();
    bytes.extend(writer.chunk(Timestamp::default(), &payload, false));
    bytes.extend(writer.finish(Timestamp::default(), &[]));
    assert_eq!(read(&bytes, &mut by(&Seal::default()), 99).map(|(keys, _)| keys.len()), Ok(1));
    let length = Writer::new(&Head { schema: "x".repeat(70_000), ..head() }, Seal::default());
    assert_eq!(length.err(), Some(SnapshotError::TooLarge));
}

#[test]
fn a_length_that_nobody_would_write_is_not_waited_for() {
    let (_, mut bytes) = Writer::new(&head(), Seal::default()).unwrap();
    bytes.extend(u32::MAX.to_le_bytes());
    assert_eq!(error(&bytes, by(&Seal::default())), SnapshotError::Broken(Refused::Malformed));
}
