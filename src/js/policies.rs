//! Policies by number, so that a hot call passes one number for nine.

use nearcache::core::PlainTtl;
use nearcache::options::Policy;

/// Those of caches, namespaces and wrapped functions: as many as differ in a program's text.
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
    const USUAL: Policy = Policy::USUAL;

    pub fn get(&self, number: u32) -> &Policy {
        self.0.get(number as usize).map_or(&Self::USUAL, |known| &known.policy)
    }

    /// As [`PlainTtl::of`].
    #[inline]
    pub fn plain(&self, number: u32) -> Option<PlainTtl> {
        self.0.get(number as usize)?.plain
    }

    pub fn add(&mut self, policy: Policy) -> u32 {
        let known = self.0.iter().position(|other| other.policy == policy);
        let at = known.unwrap_or_else(|| {
            self.0.push(policy.into());
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(0)
    }
}
