//! Files in a folder.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::tier::{Tier, TierEntry, TierError};
use crate::engine::wall;
use crate::tier::seal::digest;

/// Files in a folder, one for each name, in 256 folders within, as the npm package's `fileTier` has them: both may share the folder. A
/// file is written beside its place and then moved there, so that nobody reads half of one. What has expired is removed by
/// [`sweep`](Self::sweep).
///
/// Reads and writes block the thread: for disks that answer at once, and programs that can wait for one that does not.
#[derive(Clone, Debug)]
pub struct FileTier {
    name: String,
    folder: PathBuf,
}

/// When it ends, in milliseconds since 1970, as a float in the first 8 bytes of a file.
const HEAD: usize = 8;

/// What a process left that died while it wrote is old then.
const OLD: Duration = Duration::from_secs(60);

/// How often this process has made a file beside another.
static MADE: AtomicU64 = AtomicU64::new(0);
/// This process' own number.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());

impl FileTier {
    /// Of the name `file`. The folder is made when it is first written to.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { name: "file".to_owned(), folder: folder.into() }
    }

    /// What it is called.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Removes what has expired, and what a process left that died while it wrote; how many files. O(files).
    ///
    /// # Errors
    /// The file system's.
    pub fn sweep(&self) -> io::Result<usize> {
        let mut removed = 0;
        for folder in self.folders()? {
            for file in entries(&folder)? {
                let is_removed = match file.extension().is_some_and(|extension| extension == "new") {
                    true => is_old(&file)? && found(fs::remove_file(&file))?.is_some(),
                    false => has_expired(&file)? && remove_expired(&file)?,
                };
                removed += usize::from(is_removed);
            }
        }
        Ok(removed)
    }

    fn folders(&self) -> io::Result<impl Iterator<Item = PathBuf>> {
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        Ok(entries(&self.folder)?.into_iter().filter(is_ours))
    }

    /// The name itself is in the envelope; a file's may have no slash, no case and 255 bytes.
    fn path(&self, name: &str) -> PathBuf {
        let hash = digest(name);
        let (folder, file) = hash.split_at_checked(2).unwrap_or(("", &hash));
        self.folder.join(folder).join(file)
    }

    fn store(&self, entry: &TierEntry) -> io::Result<()> {
        let path = self.path(&entry.name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let until = (wall().as_millis() as f64) + entry.ttl.as_millis() as f64;
        let bytes = [until.to_le_bytes().as_slice(), &entry.bytes].concat();
        let beside = beside(&path);
        let stored = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
        if stored.is_err() {
            let _ = fs::remove_file(&beside);
        }
        stored
    }
}

impl Tier for FileTier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let Some(bytes) = found(fs::read(self.path(name)))? else { return Ok(None) };
        // Not removed: another may have written the name anew since it was read.
        Ok(alive(&bytes).map(<[u8]>::to_vec))
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        Ok(self.store(entry)?)
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        found(fs::remove_file(self.path(name)))?;
        Ok(())
    }

    /// Removes the folder's files, and what else lies in its 256 folders.
    async fn clear(&self) -> Result<bool, TierError> {
        for folder in self.folders()? {
            found(fs::remove_dir_all(folder))?;
        }
        Ok(true)
    }
}

/// What a file keeps, if its time has not passed.
fn alive(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    (f64::from_le_bytes(*head) > wall().as_millis() as f64).then_some(rest)
}

/// Removes what has expired, unless it was written anew meanwhile.
fn remove_expired(file: &Path) -> io::Result<bool> {
    let aside = beside(file);
    if found(fs::rename(file, &aside))?.is_none() {
        return Ok(false);
    }
    let is_expired = has_expired(&aside)?;
    if !is_expired {
        // Back where it was, unless a newer one lies there by now.
        let _ = fs::hard_link(&aside, file);
    }
    found(fs::remove_file(&aside))?;
    Ok(is_expired)
}

fn has_expired(file: &Path) -> io::Result<bool> {
    Ok(found(fs::read(file))?.is_some_and(|bytes| alive(&bytes).is_none()))
}

/// A name of its own for each write, though the folder may be that of several processes and containers, whose processes have the
/// same numbers.
fn beside(path: &Path) -> PathBuf {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{:016x}.{number}.new", *PROCESS))
}

fn is_old(file: &Path) -> io::Result<bool> {
    let Some(known) = found(fs::metadata(file))? else { return Ok(false) };
    Ok(known.modified()?.elapsed().is_ok_and(|age| age > OLD))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = found(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    entries.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// What isn't there is no failure; anything else is.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
