use std::hash::Hash;
use std::io::Write;
use std::rc::Rc;

use serde::Serialize;

use super::{Places, Saved, SnapshotFailure, SnapshotOptions};
use crate::core::{Record, Slot, SnapshotId, scope_names};
use crate::engine::cache::Cache;
use crate::engine::runtime::{Local, Runtime};
use crate::tier::Place;
use crate::tier::snapshot::{Head, Writer};
use crate::tiers::codec;
use crate::time::Timestamp;

/// A chunk is closed when it has so many bytes.
const CHUNK: usize = 128 * 1024;

impl<K, V, R: Runtime> Cache<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + Serialize + 'static,
{
    /// Writes all that the cache holds, whichever handle this is: values fresh and stale with what is left of their lifetimes, tags, namespaces and
    /// scopes, and what the eviction policy knows, the most valuable first. O(n), in chunks of about 128 KiB.
    ///
    /// ```
    /// use nearcache::{Cache, SnapshotOptions};
    ///
    /// let users: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// users.insert(1, "Ada".to_owned());
    /// let (mut bytes, options) = (Vec::new(), SnapshotOptions::new().schema("users 1"));
    /// let saved = users.save_snapshot(&options, &mut bytes)?;
    /// assert_eq!((saved.entries, saved.bytes), (1, bytes.len() as u64));
    ///
    /// let again: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let loaded = again.load_snapshot(&options, std::io::Cursor::new(&bytes))?;
    /// assert_eq!((loaded.entries, again.get(&1)), (1, Some("Ada".to_owned())));
    /// # Ok::<_, nearcache::SnapshotFailure>(())
    /// ```
    ///
    /// To a file: write beside its place, `sync_all`, and rename, so that a process that dies meanwhile leaves the old one whole.
    /// Where writing takes time, [`snapshot_chunks`](Self::snapshot_chunks) lets the cache be used meanwhile.
    ///
    /// # Errors
    /// What the writer says; a schema that is too long; and [`SnapshotFailure::Superseded`] if a serializer or the writer begins
    /// another save of this cache.
    pub fn save_snapshot(&self, options: &SnapshotOptions, mut writer: impl Write) -> Result<Saved, SnapshotFailure> {
        let mut chunks = self.snapshot_chunks(options)?;
        for chunk in &mut chunks {
            writer.write_all(&chunk?)?;
        }
        writer.flush()?;
        Ok(chunks.saved())
    }

    /// The same as an iterator: of the first bytes, chunks, and the last bytes. The cache may be used between any two of them. What is removed,
    /// purged or replaced before the last is not in the snapshot.
    ///
    /// # Errors
    /// A schema that is too long.
    pub fn snapshot_chunks(&self, options: &SnapshotOptions) -> Result<SnapshotChunks<K, V, R>, SnapshotFailure> {
        let now = self.inner.now();
        let begun = self.inner.with(|table| {
            let id = table.machine.begin_save();
            (id, table.machine.cold_share(), table.machine.usable(now))
        });
        let (id, cold_share, slots) = begun.ok_or(SnapshotFailure::Superseded)?;
        let head = Head {
            schema: options.schema.clone(),
            codec: options.format.codec(),
            id: (crate::engine::random::random() * (1_u64 << 53) as f64) as u64,
            taken_at: options.wall(),
            cold_share: u16::try_from(cold_share).unwrap_or(0),
        };
        let (writer, head) = Writer::new(&head, options.seal.clone())?;
        Ok(SnapshotChunks {
            cache: self.clone(),
            options: options.clone(),
            id,
            slots: slots.into_iter(),
            head: Some(head),
            writer: Some(writer),
            places: Places::default(),
            added: 0,
            saved: Saved::default(),
        })
    }
}

/// A snapshot that is being saved, chunk by chunk: [`Cache::snapshot_chunks`].
pub struct SnapshotChunks<K, V, R: Runtime = Local> {
    cache: Cache<K, V, R>,
    options: SnapshotOptions,
    id: SnapshotId,
    slots: std::vec::IntoIter<Slot>,
    head: Option<Vec<u8>>,
    /// There until the end.
    writer: Option<Writer>,
    places: Places,
    /// Entries that were written, of which some may be dropped.
    added: u32,
    saved: Saved,
}

impl<K, V, R: Runtime> SnapshotChunks<K, V, R> {
    /// What was saved, once the iterator has ended.
    pub fn saved(&self) -> Saved {
        self.saved
    }
}

/// An entry that was taken out.
struct Taken<K, V> {
    key: K,
    value: V,
    record: Record,
    tags: Vec<String>,
    place: Rc<str>,
}

impl<K, V, R: Runtime> SnapshotChunks<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + Serialize + 'static,
{
    fn chunk(&mut self) -> Result<Option<Vec<u8>>, SnapshotFailure> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        let (wall, now) = (self.options.wall(), self.cache.inner.now());
        while writer.len() < CHUNK
            && let Some(slot) = self.slots.next()
        {
            if let Some(taken) = self.take(slot, now) {
                // serde's traits are the user's code: nothing is borrowed.
                self.add(&mut writer, &taken);
            }
        }
        if !writer.is_empty() {
            let payload = writer.take();
            let chunk = writer.chunk(wall, &payload, false);
            self.writer = Some(writer);
            return Ok(Some(chunk));
        }
        let dropped = self.cache.inner.with(|table| table.machine.end_save(self.id)).flatten();
        let mut dropped = dropped.ok_or(SnapshotFailure::Superseded)?;
        dropped.sort_unstable();
        self.saved.entries = u64::from(self.added).saturating_sub(dropped.len() as u64);
        Ok(Some(writer.finish(self.options.wall(), &dropped)))
    }

    fn take(&mut self, slot: Slot, now: Timestamp) -> Option<Taken<K, V>> {
        let Self { cache, places, id, added, .. } = self;
        let taken = cache.inner.with(|table| {
            let (key, value) = (table.key(slot)?.clone(), table.value(slot)?.clone());
            let record = table.machine.save(*id, *added, slot, now)?;
            let tags = table.machine.tags_of(slot).into_iter().map(str::to_owned).collect();
            let partition = table.machine.partition_of(slot);
            let place = places.entry(partition).or_insert_with(|| {
                let part = table.machine.part_of(slot);
                let namespaces = table.machine.namespace_path(part.namespace).into_iter().map(str::to_owned);
                Place::new(&namespaces.collect::<Vec<_>>(), &scope_names(part.scope)).as_str().into()
            });
            Some(Taken { key, value, record, tags, place: place.clone() })
        });
        taken.flatten()
    }

    fn add(&mut self, writer: &mut Writer, taken: &Taken<K, V>) {
        let Taken { key, value, record, tags, place } = taken;
        let format = self.options.format;
        let added = codec::key_text(key).zip(format.encode(value)).is_some_and(|(key, value)| {
            let tags = tags.iter().map(String::as_str);
            writer.add(place, &key, *record, tags, format.codec(), &value).is_ok()
        });
        match added {
            true => self.added += 1,
            false => self.saved.skipped += 1,
        }
    }
}

impl<K, V, R: Runtime> Iterator for SnapshotChunks<K, V, R>
where
    K: Hash + Eq + Clone + Serialize + 'static,
    V: Clone + Serialize + 'static,
{
    type Item = Result<Vec<u8>, SnapshotFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        // The number of a scope's part may be another's in the next chunk.
        self.places.clear();
        let chunk = self.chunk().transpose()?;
        self.saved.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Some(chunk)
    }
}

impl<K, V, R: Runtime> Drop for SnapshotChunks<K, V, R> {
    fn drop(&mut self) {
        if let Ok(mut table) = self.cache.inner.table.try_borrow_mut() {
            table.machine.end_save(self.id);
        }
    }
}
