//! Policies by number, so that a hot call passes one number for nine.

use nearcache::options::Policy;

/// Those of caches, namespaces and wrapped functions: as many as differ in a program's text.
pub(super) struct Policies(Vec<Policy>);

impl Default for Policies {
    fn default() -> Self {
        Self(vec![Policy::default()])
    }
}

impl Policies {
    /// What number 0 says, where there is no such number.
    const USUAL: Policy = Policy::USUAL;

    pub fn get(&self, number: u32) -> &Policy {
        self.0.get(number as usize).unwrap_or(&Self::USUAL)
    }

    pub fn add(&mut self, policy: Policy) -> u32 {
        let known = self.0.iter().position(|other| *other == policy);
        let at = known.unwrap_or_else(|| {
            self.0.push(policy);
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(0)
    }
}
