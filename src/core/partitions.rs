//! The parts of a cache. A namespace has figures and defaults of its own; a scope has neither, and there may be any
//! number of them. The two commute: a partition is one path of namespaces and one path of scopes, however a handle
//! came by them, and lies within another if both its paths do.

use super::names::NameIndex;
use super::part::{Part, is_scope_within};

/// Names a partition while it holds keys or a handle of it is kept; the root and namespaces without a scope for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartitionId(pub u32);

impl PartitionId {
    /// The cache itself.
    pub const ROOT: Self = Self(0);
}

/// What a part of a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionSize {
    /// Entries: stale ones, remembered failures, and expired ones that no operation has met yet included.
    pub entries: u32,
    /// The sum of their weights.
    pub weight: u64,
}

struct Namespace {
    parent: u8,
    name: Box<str>,
    /// The one without a scope.
    partition: PartitionId,
}

struct Partition {
    namespace: u8,
    scope: Box<str>,
    /// Keys and handles that name it. A scope without any is forgotten.
    uses: u32,
    held: PartitionSize,
}

/// All parts of one cache.
pub(crate) struct Partitions {
    namespaces: Vec<Namespace>,
    list: Vec<Partition>,
    free: Vec<u32>,
    /// Scopes by namespace and name.
    index: NameIndex,
    /// Scopes that had no key and no handle a moment ago. They are forgotten when the next is opened and not before, so
    /// that an operation may let go of a scope's last key and then give it another.
    unused: Vec<PartitionId>,
}

impl Partitions {
    pub fn new() -> Self {
        let root = Namespace { parent: 0, name: "".into(), partition: PartitionId::ROOT };
        Self {
            namespaces: vec![root],
            list: vec![Partition::new(0, "")],
            free: Vec::new(),
            index: NameIndex::default(),
            unused: Vec::new(),
        }
    }

    /// The hashes of names depend on it. To be said while there are none.
    pub fn seed(&mut self, seed: u32) {
        self.index.seed = seed;
    }

    /// The number of the namespace of this name in another; made if it is new. `None` when there are 256.
    pub fn namespace(&mut self, parent: u8, name: &str) -> Option<u8> {
        let known = self.namespaces.iter().skip(1).position(|n| n.parent == parent && &*n.name == name);
        if let Some(known) = known {
            return u8::try_from(known + 1).ok();
        }
        let number = u8::try_from(self.namespaces.len()).ok()?;
        let partition = self.add(Partition::new(number, ""))?;
        self.namespaces.push(Namespace { parent, name: name.into(), partition });
        Some(number)
    }

    /// How many namespaces there are, the root included.
    pub fn namespaces(&self) -> usize {
        self.namespaces.len()
    }

    /// The names on the way to a namespace.
    pub fn path(&self, namespace: u8) -> Vec<&str> {
        let mut names: Vec<_> = self.outwards(namespace).filter_map(|n| self.namespaces.get(usize::from(n))).collect();
        names.pop();
        names.iter().rev().map(|namespace| &*namespace.name).collect()
    }

    /// The partition there; made if it is new. It is forgotten when the next is opened unless it has got a key or been
    /// [retained](Self::retain). `None` when all 2^32 numbers are taken.
    pub fn open(&mut self, part: Part<'_>) -> Option<PartitionId> {
        if part.scope.is_empty() {
            return Some(self.namespaces.get(usize::from(part.namespace))?.partition);
        }
        let hash = self.index.hash(part, "");
        let is = |at: u32| self.list.get(at as usize).is_some_and(|partition| partition.part() == part);
        let known = self.index.find(hash, &is).map(PartitionId);
        self.forget_unused(known);
        if known.is_some() {
            return known;
        }
        let id = self.add(Partition::new(part.namespace, part.scope))?;
        self.index.add(hash, id.0);
        self.unused.push(id);
        Some(id)
    }

    /// One more key or handle there.
    #[inline]
    pub fn retain(&mut self, id: PartitionId) {
        if id == PartitionId::ROOT {
            return; // which is never forgotten
        }
        if let Some(partition) = self.list.get_mut(id.0 as usize) {
            partition.uses += 1;
        }
    }

    /// One key or handle less.
    #[inline]
    pub fn release(&mut self, id: PartitionId) {
        if id != PartitionId::ROOT {
            self.release_part(id);
        }
    }

    #[inline(never)]
    fn release_part(&mut self, id: PartitionId) {
        if let Some(partition) = self.list.get_mut(id.0 as usize) {
            partition.uses = partition.uses.saturating_sub(1);
            if partition.uses == 0 && !partition.scope.is_empty() {
                self.unused.push(id);
            }
        }
    }

    /// The namespace that counts what happens there.
    #[inline]
    pub fn namespace_of(&self, id: PartitionId) -> u8 {
        self.list.get(id.0 as usize).map_or(0, |partition| partition.namespace)
    }

    /// Where it lies.
    pub fn part_of(&self, id: PartitionId) -> Part<'_> {
        self.list.get(id.0 as usize).map_or(Part { namespace: 0, scope: "" }, Partition::part)
    }

    /// Whether it lies in `outer`, or is that.
    pub fn is_within(&self, id: PartitionId, outer: Part<'_>) -> bool {
        let part = self.part_of(id);
        is_scope_within(part.scope, outer.scope) && self.outwards(part.namespace).any(|n| n == outer.namespace)
    }

    /// Each part that a partition lies in, itself included: whence a tag in it can be purged.
    pub fn around(&self, id: PartitionId) -> Vec<Part<'_>> {
        let (part, mut parts) = (self.part_of(id), Vec::new());
        for namespace in self.outwards(part.namespace) {
            for scope in part.scopes() {
                parts.push(Part { namespace, scope });
            }
        }
        parts
    }

    #[inline]
    pub fn held_mut(&mut self, id: PartitionId) -> Option<&mut PartitionSize> {
        self.list.get_mut(id.0 as usize).map(|partition| &mut partition.held)
    }

    /// What lies in a part and within it. O(partitions).
    pub fn held_within(&self, outer: Part<'_>) -> PartitionSize {
        let ids = (0..self.list.len()).map(|id| PartitionId(id as u32));
        let within = ids.filter(|id| self.is_within(*id, outer)).filter_map(|id| self.list.get(id.0 as usize));
        within.fold(PartitionSize::default(), |sum, partition| PartitionSize {
            entries: sum.entries + partition.held.entries,
            weight: sum.weight + partition.held.weight,
        })
    }

    /// What lies in each namespace and its scopes, but not in the namespaces within it. O(partitions).
    pub fn held_by_namespace(&self) -> Vec<PartitionSize> {
        let mut sums = vec![PartitionSize::default(); self.namespaces.len()];
        for partition in &self.list {
            if let Some(sum) = sums.get_mut(usize::from(partition.namespace)) {
                sum.entries += partition.held.entries;
                sum.weight += partition.held.weight;
            }
        }
        sums
    }

    /// The cache has been emptied: no keys are left, handles are.
    pub fn empty(&mut self) {
        for partition in &mut self.list {
            partition.held = PartitionSize::default();
        }
    }

    /// A namespace and those around it, the root last.
    fn outwards(&self, namespace: u8) -> impl Iterator<Item = u8> {
        let mut next = Some(namespace);
        std::iter::from_fn(move || {
            let number = next?;
            let parent = self.namespaces.get(usize::from(number)).map_or(0, |namespace| namespace.parent);
            next = (number != 0).then_some(parent);
            Some(number)
        })
    }

    fn add(&mut self, partition: Partition) -> Option<PartitionId> {
        if let Some(number) = self.free.pop()
            && let Some(place) = self.list.get_mut(number as usize)
        {
            *place = partition;
            return Some(PartitionId(number));
        }
        self.list.push(partition);
        u32::try_from(self.list.len() - 1).ok().map(PartitionId)
    }

    /// Forgets the scopes without a use, but for the one that is about to be used.
    fn forget_unused(&mut self, but: Option<PartitionId>) {
        for id in std::mem::take(&mut self.unused) {
            let Some(partition) = self.list.get(id.0 as usize) else { continue };
            if partition.uses > 0 {
                continue;
            }
            if Some(id) == but {
                if !self.unused.contains(&id) {
                    self.unused.push(id);
                }
                continue;
            }
            let hash = self.index.hash(partition.part(), "");
            // Its number is in the list as often as it has become unused.
            if self.index.remove(hash, id.0) {
                self.free.push(id.0);
                if let Some(place) = self.list.get_mut(id.0 as usize) {
                    // Nothing lies there, and nothing that is looked for is called so.
                    *place = Partition::new(0, "\0");
                }
            }
        }
    }
}

impl Partition {
    fn new(namespace: u8, scope: &str) -> Self {
        Self { namespace, scope: scope.into(), uses: 0, held: PartitionSize::default() }
    }

    fn part(&self) -> Part<'_> {
        Part { namespace: self.namespace, scope: &self.scope }
    }
}
