//! What is wanted of a tier, as checks that its author can run: the same as those of `nearcache/tiers/conformance` in the npm package.
//!
//! ```
//! use nearcache::tiers::{MemoryTier, conformance};
//!
//! # futures::executor::block_on(async {
//! for check in conformance::test(&MemoryTier::new(), conformance::Options::new()).await {
//!     assert_eq!(check.error, None, "{}", check.title);
//! }
//! # });
//! ```

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};

use super::tier::{Tier, TierEntry, TierError};
use crate::engine::{Local, Runtime, wall};

/// How a tier is checked.
pub struct Options {
    settle: Duration,
    shortest_ttl: Option<Duration>,
    sleep: Box<dyn Fn(Duration) -> LocalBoxFuture<'static, ()>>,
}

impl Options {
    /// Writes show at once, and expiry is not checked.
    #[must_use]
    pub fn new() -> Self {
        let sleep = |time: Duration| -> LocalBoxFuture<'static, ()> {
            Box::pin(Local::default().sleep(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
        };
        Self { settle: Duration::ZERO, shortest_ttl: None, sleep: Box::new(sleep) }
    }

    /// How much later a write may show.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// The shortest ttl that the store can keep to; no check waits longer than that and 200 ms. Without it expiry is not checked.
    #[must_use]
    pub fn shortest_ttl(mut self, ttl: Duration) -> Self {
        self.shortest_ttl = Some(ttl);
        self
    }

    /// How to wait, for tests whose time is virtual. If nothing is said, by the platform's timers.
    #[must_use]
    pub fn sleep<F: Future<Output = ()> + 'static>(mut self, sleep: impl Fn(Duration) -> F + 'static) -> Self {
        self.sleep = Box::new(move |time| Box::pin(sleep(time)));
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Options");
        out.field("settle", &self.settle).field("shortest_ttl", &self.shortest_ttl).finish_non_exhaustive()
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What is wanted.
    pub title: &'static str,
    /// What is wrong, if something is.
    pub error: Option<String>,
}

/// Checks a tier. All is well if no check has an error. What lies in the store is left alone, but for [`clear`](Tier::clear).
pub async fn test(tier: &impl Tier, options: Options) -> Vec<Check> {
    let mut checks = Checks { tier, options, run: wall().as_millis(), results: Vec::new() };
    checks.all().await;
    tier.close().await;
    checks.results
}

const HOUR: Duration = Duration::from_secs(3_600);

type Checked = Result<(), TierError>;

struct Checks<'a, T> {
    tier: &'a T,
    options: Options,
    /// Part of all names, so that runs don't meet.
    run: u64,
    results: Vec<Check>,
}

impl<T: Tier> Checks<'_, T> {
    async fn all(&mut self) {
        let result = self.gives(&self.name("nothing"), None).await;
        self.told("what was never stored is nothing", result);
        let result = self.bytes().await;
        self.told("bytes come back as they were: none, each of the 256, a megabyte", result);
        let result = self.names().await;
        self.told("names are told apart, whatever is in them", result);
        let result = self.twice().await;
        self.told("the last of two values stays", result);
        let result = self.gone().await;
        self.told("what was deleted is gone; what is not there can be deleted", result);
        let result = self.many().await;
        self.told("many names at once come in their order, absent ones and the same one twice among them", result);
        let result = self.all_at_once().await;
        self.told("many are stored and deleted at once", result);
        let result = self.race().await;
        self.told("many writers at once leave one of their values whole", result);
        let result = self.expiry().await;
        self.told("a value stays for its ttl, and is gone some time after it", result);
        let result = self.clear().await;
        self.told("clear removes what was stored", result);
    }

    fn told(&mut self, title: &'static str, result: Checked) {
        self.results.push(Check { title, error: result.err().map(|error| error.to_string()) });
    }

    async fn bytes(&self) -> Checked {
        let large = (0..1_000_000_u32).map(|at| ((at * 31) >> 3) as u8).collect();
        for bytes in [Vec::new(), (0..=255).collect(), large] {
            let name = self.name(&format!("bytes-{}", bytes.len()));
            self.set(&name, &bytes).await?;
            self.gives(&name, Some(&bytes)).await?;
        }
        Ok(())
    }

    /// Names that all stores must take: of several bytes a letter, with what other systems take for separators, long.
    async fn names(&self) -> Checked {
        let long = "x".repeat(400);
        let odd = ["a", "A", "ä/😀", "a b", "a:b*?[c]", "%2F", "..", "../../a", "\\", "\"'`$(x)", "\u{1}\n", &long];
        let names = odd.map(|of| self.name(of));
        for (at, name) in (0..).zip(&names) {
            self.set(name, &[at]).await?;
        }
        for (at, name) in (0..).zip(&names) {
            self.gives(name, Some(&[at])).await?;
        }
        Ok(())
    }

    async fn twice(&self) -> Checked {
        let name = self.name("twice");
        self.set(&name, &[1]).await?;
        self.set(&name, &[2, 2]).await?;
        self.gives(&name, Some(&[2, 2])).await
    }

    async fn gone(&self) -> Checked {
        let name = self.name("gone");
        self.set(&name, &[1]).await?;
        self.tier.delete(&name).await?;
        self.settled().await;
        self.gives(&name, None).await?;
        self.tier.delete(&name).await
    }

    async fn many(&self) -> Checked {
        let name = |of: u8| self.name(&format!("many-{of}"));
        for of in (0..20).step_by(2) {
            self.tier.set(&entry(&name(of), &[of], HOUR)).await?;
        }
        self.settled().await;
        let asked: Vec<u8> = (0..20).rev().chain([2, 2]).collect();
        let names: Vec<String> = asked.iter().map(|of| name(*of)).collect();
        let answers = self.tier.get_many(&names).await?;
        if answers.len() != names.len() {
            return Err(format!("get_many: {} answers for {} names", answers.len(), names.len()).into());
        }
        asked.iter().zip(&answers).try_for_each(|(of, got)| {
            same(got.as_deref(), (of % 2 == 0).then_some(&[*of]), &format!("get_many of {of}"))
        })
    }

    async fn all_at_once(&self) -> Checked {
        let entries: Vec<_> = (0..50).map(|of| entry(&self.name(&format!("all-{of}")), &[of], HOUR)).collect();
        self.tier.set_many(&entries).await?;
        self.settled().await;
        for entry in &entries {
            self.gives(&entry.name, Some(&entry.bytes)).await?;
        }
        let (deleted, kept) = entries.split_at(25);
        let names: Vec<String> = deleted.iter().map(|entry| entry.name.to_string()).collect();
        self.tier.delete_many(&names).await?;
        self.settled().await;
        for entry in deleted {
            self.gives(&entry.name, None).await?;
        }
        for entry in kept {
            self.gives(&entry.name, Some(&entry.bytes)).await?;
        }
        Ok(())
    }

    async fn race(&self) -> Checked {
        let name = self.name("race");
        let entries: Vec<_> = (0..20).map(|of| entry(&name, &[of; 20_000], HOUR)).collect();
        // A store may refuse to be written so often.
        let _ = join_all(entries.iter().map(|entry| self.tier.set(entry))).await;
        self.settled().await;
        match self.tier.get(&name).await? {
            Some(bytes) if bytes.len() == 20_000 && bytes.iter().all(|byte| Some(byte) == bytes.first()) => Ok(()),
            _ => Err("a value that nobody wrote".into()),
        }
    }

    async fn expiry(&self) -> Checked {
        let Some(ttl) = self.options.shortest_ttl else { return Ok(()) };
        let (short, long) = (self.name("short"), self.name("long"));
        self.tier.set(&entry(&short, &[1], ttl)).await?;
        self.tier.set(&entry(&long, &[2], ttl * 100)).await?;
        self.settled().await;
        self.gives(&short, Some(&[1])).await?;
        (self.options.sleep)(ttl + Duration::from_millis(200)).await;
        self.gives(&short, None).await?;
        self.gives(&long, Some(&[2])).await
    }

    async fn clear(&self) -> Checked {
        let name = self.name("cleared");
        self.set(&name, &[1]).await?;
        if !self.tier.clear().await? {
            return Ok(());
        }
        self.settled().await;
        self.gives(&name, None).await?;
        self.set(&name, &[2]).await?;
        self.gives(&name, Some(&[2])).await
    }

    fn name(&self, of: &str) -> String {
        format!("v:conformance:{:x}:{}-{of}", self.run, self.results.len())
    }

    async fn set(&self, name: &str, bytes: &[u8]) -> Checked {
        self.tier.set(&entry(name, bytes, HOUR)).await?;
        self.settled().await;
        Ok(())
    }

    async fn settled(&self) {
        if self.options.settle > Duration::ZERO {
            (self.options.sleep)(self.options.settle).await;
        }
    }

    async fn gives(&self, name: &str, wanted: Option<&[u8]>) -> Checked {
        same(self.tier.get(name).await?.as_deref(), wanted, name)
    }
}

fn entry(name: &str, bytes: &[u8], ttl: Duration) -> TierEntry {
    TierEntry { name: Rc::from(name), bytes: Rc::from(bytes), ttl }
}

fn same(got: Option<&[u8]>, wanted: Option<&[u8]>, what: &str) -> Checked {
    if got == wanted { Ok(()) } else { Err(format!("{what:?}: got {}, wanted {}", show(got), show(wanted)).into()) }
}

fn show(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "nothing".to_owned(),
        Some(bytes) if bytes.len() > 8 => format!("{} bytes", bytes.len()),
        Some(bytes) => format!("{bytes:?}"),
    }
}
