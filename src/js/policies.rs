//! Policies by number, so that a hot call passes one number for nine.

use nearcache::core::PlainTtl;
use nearcache::options::Policy;

/// Those of caches and namespaces, as `pkg/src/policy/policies.ts` numbers them, which says how many there are at the most.
pub(super) struct Policies(Vec<Interned>);

struct Interned {
    policy: Policy,
    plain: Option<PlainTtl>,
}

impl From<Policy> for Interned {
    fn from(policy: Policy) -> Self {
        Self { policy, plain: PlainTtl::of(&policy) }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self(vec![Policy::default().into()])
    }
}

impl Policies {
    /// What number 0 says, where there is no such number.
    pub const DEFAULT: Policy = Policy::DEFAULT;

    pub fn get(&self, number: u32) -> &Policy {
        self.0.get(number as usize).map_or(&Self::DEFAULT, |known| &known.policy)
    }

    /// As [`PlainTtl::of`].
    #[inline]
    pub fn plain(&self, number: u32) -> Option<PlainTtl> {
        self.0.get(number as usize)?.plain
    }

    /// In the place of another that had the number, or as the next.
    pub fn put(&mut self, number: u32, policy: Policy) {
        match self.0.get_mut(number as usize) {
            Some(known) => *known = policy.into(),
            None => self.0.push(policy.into()),
        }
    }
}
