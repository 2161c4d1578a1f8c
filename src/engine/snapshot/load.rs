use std::hash::Hash;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::{Loaded, SnapshotFailure, SnapshotOptions, is_too_old, since};
use crate::core::{NotRestored, Part, PartitionId, Restored, Slot, SnapshotId, join_scope};
use crate::engine::cache::Cache;
use crate::engine::noted::Noted;
use crate::engine::plugin::Place;
use crate::engine::runtime::{Local, Runtime};
use crate::tier;
use crate::tier::snapshot::{Entry, Piece, Reader, SnapshotError, parse};
use crate::tiers::codec;
use crate::time::Timestamp;

const PIECE: usize = 64 * 1024;

/// A part whose number is kept.
type Kept = (PartitionId, Rc<Place>);

impl<K, V, R: Runtime> Cache<K, V, R>
where
    K: Hash + Eq + Clone + DeserializeOwned + 'static,
    V: Clone + DeserializeOwned + 'static,
{
    /// Puts back what a snapshot holds and is still alive, if all of it can be believed: it is read to its end first, and then again. Nothing
    /// that the cache holds goes for it: a key that is there keeps its value, and what has no room is left out, the least valuable. O(n).
    ///
    /// What comes once, and in pieces, goes to a [`SnapshotLoader`].
    ///
    /// # Errors
    /// [`SnapshotFailure`]; the cache is as it was then.
    pub fn load_snapshot(
        &self,
        options: &SnapshotOptions,
        mut reader: impl Read + Seek,
    ) -> Result<Loaded, SnapshotFailure> {
        let start = reader.stream_position()?;
        let mut dropped = Vec::new();
        let mut verifier = Reader::new(options.schema.clone(), options.format.codec(), options.seal.clone());
        read_all(&mut reader, |bytes| {
            verifier.push(bytes);
            while let Some(piece) = verifier.poll()? {
                match piece {
                    Piece::Head(head) => check_age(options, head.taken_at)?,
                    Piece::End { dropped: all, .. } => dropped = all,
                    Piece::Entries { .. } => {}
                }
            }
            Ok(())
        })?;
        verifier.finish()?;
        reader.seek(SeekFrom::Start(start))?;
        let mut loader = self.snapshot_loader(options);
        loader.dropped = Some(dropped);
        read_all(&mut reader, |bytes| loader.push(bytes))?;
        loader.finish()
    }

    /// Begins to load a snapshot that comes in pieces.
    pub fn snapshot_loader(&self, options: &SnapshotOptions) -> SnapshotLoader<K, V, R> {
        SnapshotLoader {
            cache: self.clone(),
            options: options.clone(),
            reader: Reader::new(options.schema.clone(), options.format.codec(), options.seal.clone()),
            id: None,
            dropped: None,
            slots: Vec::new(),
            ordinal: 0,
            loaded: Loaded::default(),
        }
    }
}

fn read_all(
    reader: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> Result<(), SnapshotFailure>,
) -> Result<(), SnapshotFailure> {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn check_age(options: &SnapshotOptions, taken_at: Timestamp) -> Result<(), SnapshotFailure> {
    is_too_old(since(taken_at, options.wall()), options.max_age).map_or(Ok(()), Err)
}

/// A snapshot that is being loaded as it comes: [`push`](Self::push) bytes, at last [`finish`](Self::finish). The cache may be used between
/// any two calls; what is removed, purged or set since the first is not put back.
///
/// Each chunk is verified before anything of it is loaded. If one is refused, what came before stays: right values, the most valuable ones.
pub struct SnapshotLoader<K, V, R: Runtime = Local> {
    cache: Cache<K, V, R>,
    options: SnapshotOptions,
    reader: Reader,
    /// Once the head has come.
    id: Option<SnapshotId>,
    /// What is not of the snapshot, if that is known before.
    dropped: Option<Vec<u32>>,
    /// If it is not: where each entry was put.
    slots: Vec<Option<Slot>>,
    ordinal: u32,
    loaded: Loaded,
}

impl<K, V, R: Runtime> SnapshotLoader<K, V, R>
where
    K: Hash + Eq + Clone + DeserializeOwned + 'static,
    V: Clone + DeserializeOwned + 'static,
{
    /// Some more bytes; loads the chunks that are complete.
    ///
    /// # Errors
    /// [`SnapshotFailure`]: then no more is loaded.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SnapshotFailure> {
        self.reader.push(bytes);
        while let Some(piece) = self.reader.poll()? {
            match piece {
                Piece::Head(head) => {
                    check_age(&self.options, head.taken_at)?;
                    self.id = self.cache.inner.with(|table| {
                        table.noted = Some(Noted::default());
                        table.machine.restore_cold_share(head.cold_share.into());
                        table.machine.begin_restore()
                    });
                }
                Piece::Entries { taken_at, payload, compressed } => {
                    if compressed {
                        return Err(SnapshotError::Compressed.into());
                    }
                    let (parts, entries) = parse(&payload)?;
                    // The cache's clock need not show the time of day.
                    let later = since(taken_at, self.options.wall());
                    let parts: Vec<_> = parts.into_iter().map(|name| self.open(name)).collect();
                    let put = entries.iter().try_for_each(|entry| self.put(entry, later, &parts));
                    self.release(parts);
                    put?;
                }
                Piece::End { dropped, .. } => self.take_back(&dropped),
            }
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the snapshot has not ended.
    pub fn finish(self) -> Result<Loaded, SnapshotFailure> {
        self.reader.finish()?;
        Ok(self.loaded)
    }

    fn put(&mut self, entry: &Entry<'_>, later: u64, parts: &[Option<Kept>]) -> Result<(), SnapshotFailure> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        self.slots.resize(if self.dropped.is_some() { 0 } else { self.ordinal as usize }, None);
        if self.dropped.as_ref().is_some_and(|dropped| dropped.binary_search(&ordinal).is_ok()) {
            self.loaded.dropped += 1;
            return Ok(());
        }
        // serde's traits and the weigher are the user's code: nothing is borrowed.
        let part = parts.get(entry.part).cloned().flatten();
        let read = codec::key_of::<K>(entry.key).zip(codec::decode::<V>(entry.codec, entry.payload).ok());
        let Some(((key, value), (partition, place))) = read.zip(part) else {
            self.loaded.unreadable += 1;
            return Ok(());
        };
        let inner = &self.cache.inner;
        let mut record = entry.record.later(later);
        record.checked |= self.cache.handle.policy.entry.checked;
        if record.weight == 0 {
            let weight = inner.weigh(&key, &value);
            if inner.needs_weight(weight) {
                self.loaded.unreadable += 1;
                return Ok(());
            }
            record.weight = weight.unwrap_or(0);
        }
        let tags: Vec<String> = entry.tags.iter().map(|tag| (*tag).to_owned()).collect();
        let (now, id) = (inner.now(), self.id.unwrap_or(SnapshotId(0)));
        let put = inner.with(|table| {
            let hash = table.hash(partition, &key);
            if table.find_hashed(hash, &key).is_some() {
                return Ok(None);
            }
            if table.noted.as_ref().is_none_or(|noted| noted.has(hash.0)) {
                return Err(NotRestored::Purged);
            }
            let restored = Restored { partition, hash: Some(hash.0), ordinal, record, tags: &tags };
            let slot = table.machine.restore(id, now, &restored)?;
            let noted = table.noted.take();
            table.place(slot, partition, &place, key, hash);
            table.noted = noted;
            table.put(slot, value);
            Ok(Some(slot))
        });
        match put.unwrap_or(Err(NotRestored::Superseded)) {
            Ok(Some(slot)) => {
                self.loaded.entries += 1;
                if let Some(place) = self.slots.get_mut(ordinal as usize) {
                    *place = Some(slot);
                }
            }
            Ok(None) => self.loaded.present += 1,
            Err(NotRestored::Expired) => self.loaded.expired += 1,
            Err(NotRestored::NoRoom) => self.loaded.no_room += 1,
            Err(NotRestored::Purged) => self.loaded.purged += 1,
            Err(NotRestored::Superseded) => return Err(SnapshotFailure::Superseded),
        }
        Ok(())
    }

    /// The part of this name, and keeps it.
    fn open(&self, name: &str) -> Option<Kept> {
        let inner = &self.cache.inner;
        let (namespaces, scopes) = tier::Place::from_name(name).parts()?;
        let partition = inner.with(|table| {
            let machine = &mut table.machine;
            let namespace = namespaces.iter().try_fold(0, |outer, name| machine.namespace(outer, name))?;
            let scope = scopes.iter().fold(String::new(), |outer, name| join_scope(&outer, name));
            let partition = machine.open_partition(Part { namespace, scope: &scope })?;
            machine.retain_partition(partition);
            Some(partition)
        });
        let mut place = Place::default();
        (place.namespaces, place.scopes) = (namespaces, scopes);
        let place = if partition == Some(Some(PartitionId::ROOT)) { inner.root.clone() } else { Rc::new(place) };
        Some((partition??, place))
    }

    fn release(&self, parts: Vec<Option<Kept>>) {
        self.cache.inner.with(|table| {
            for (partition, _) in parts.into_iter().flatten() {
                table.machine.release_partition(partition);
            }
        });
    }

    /// What was dropped is known only now where nobody could look ahead.
    fn take_back(&mut self, dropped: &[u32]) {
        let (Some(id), None) = (self.id, &self.dropped) else { return };
        for ordinal in dropped {
            let Some(Some(slot)) = self.slots.get(*ordinal as usize).copied() else { continue };
            let gone = self.cache.inner.with(|table| {
                let before = table.machine.len();
                table.machine.take_back(id, *ordinal, slot);
                before - table.machine.len()
            });
            self.loaded.entries -= gone.unwrap_or(0) as u64;
            self.loaded.dropped += gone.unwrap_or(0) as u64;
        }
    }
}

impl<K, V, R: Runtime> Drop for SnapshotLoader<K, V, R> {
    fn drop(&mut self) {
        if let Some(id) = self.id
            && let Ok(mut table) = self.cache.inner.table.try_borrow_mut()
            && table.machine.end_restore(id)
        {
            table.noted = None;
        }
    }
}
