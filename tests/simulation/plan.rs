//! What a load will say.

use super::*;

/// What a load will say about what it brings.
#[derive(Clone)]
pub struct Plan {
    pub ttl: Option<u64>,
    pub revalidate: Option<u64>,
    pub error: Option<u64>,
    pub backoff: Option<u64>,
    pub tags: Vec<usize>,
    pub skip: bool,
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        let mut one = |odds, below| random.one_in(odds).then(|| random.below(below));
        Self {
            ttl: one(3, 60),
            revalidate: one(3, 40),
            error: one(3, 60),
            backoff: one(3, 50),
            tags: one(2, 1 << TAGS.len()).map_or(Vec::new(), |bits| (0..3).filter(|n| bits & (1 << n) != 0).collect()),
            skip: random.one_in(8),
        }
    }

    /// The loader's own word first.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            ttl: self.ttl.or(other.ttl),
            revalidate: self.revalidate.or(other.revalidate),
            error: self.error.or(other.error),
            backoff: self.backoff.or(other.backoff),
            tags: self.tags.iter().chain(&other.tags).copied().collect(),
            skip: self.skip,
        }
    }

    pub fn ends(&self, now: u64, view: u64) -> Ends {
        let (ttl, revalidate, error) = DEFAULTS[view as usize];
        Ends::new(now, self.ttl.unwrap_or(ttl), self.revalidate.unwrap_or(revalidate), self.error.unwrap_or(error))
    }

    /// Whether what a load of this number brings is stored, if nothing comes in between, and is there for a while.
    pub fn is_stored(&self, id: u64) -> bool {
        !self.skip && id % 23 <= 20 && self.ttl.is_none_or(|ttl| ttl > 3)
    }

    pub fn patch(&self) -> PolicyPatch {
        let mut patch = PolicyPatch::new();
        patch.ttl = self.ttl.map(Ttl::Millis);
        patch.stale_while_revalidate = self.revalidate.map(Ttl::Millis);
        patch.stale_if_error = self.error.map(Ttl::Millis);
        patch.error_backoff = self.backoff.map(Ttl::Millis);
        patch
    }

    pub fn say(&self, ctx: &LoadCtx<Value>) {
        if let Some(ttl) = self.ttl {
            ctx.set_ttl(Ttl::Millis(ttl));
        }
        if let Some(window) = self.revalidate {
            ctx.set_stale_while_revalidate(Ttl::Millis(window));
        }
        if let Some(window) = self.error {
            ctx.set_stale_if_error(Ttl::Millis(window));
        }
        if let Some(backoff) = self.backoff {
            ctx.set_error_backoff(Ttl::Millis(backoff));
        }
        self.tags.iter().for_each(|tag| ctx.tag(TAGS[*tag]));
        if self.skip {
            ctx.skip();
        }
    }
}

pub const NOTHING: Plan =
    Plan { ttl: None, revalidate: None, error: None, backoff: None, tags: Vec::new(), skip: false };
