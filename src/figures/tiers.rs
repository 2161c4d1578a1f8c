//! The page for Prometheus of what happened in tiers.

use super::text::{MILLIS, Page, Series, labels, seconds};
use crate::tier::{BreakerState, Chain, TierFigures, names};
use crate::time::Timestamp;

/// A page of the tiers of some caches: in the same format as [`prometheus`](super::prometheus), with the name of a tier as
/// `layer`. No family is on both pages, so that one may follow the other. About 3 KB a tier and namespace.
#[derive(Debug, Default)]
pub struct TierPage {
    tiers: Vec<Tier>,
}

/// What concerns one namespace in a tier, those within it apart.
#[derive(Debug)]
struct Tier {
    labels: String,
    figures: TierFigures,
    /// What only a tier as a whole has: beside what concerns no namespace.
    whole: Option<Whole>,
}

#[derive(Clone, Copy, Debug)]
struct Whole {
    writes: [(&'static str, u64); 4],
    purges: u64,
    owes_purges: bool,
    breakers: (BreakerState, BreakerState),
}

impl TierPage {
    /// Adds the tiers of a cache, by their names. Those of one name count as one tier's, since a page that names a series twice is
    /// refused: the first has it.
    pub fn add(&mut self, cache: &str, names: &[String], chain: &Chain, now: Timestamp) {
        for (tier, name) in names.iter().enumerate() {
            let (Some(f), Some(breakers)) = (chain.figures(tier), chain.breakers(tier, now)) else { continue };
            let whole = Whole {
                writes: [
                    ("result=\"stored\"", f.writes),
                    ("result=\"failed\"", f.write_errors),
                    ("result=\"skipped\"", f.writes_skipped),
                    ("result=\"too_large\"", f.too_large),
                ],
                purges: f.purges,
                owes_purges: chain.owes(tier),
                breakers,
            };
            let root = chain.namespace_figures(tier, "").cloned().unwrap_or_default();
            self.push(labels(cache, name, None), root, Some(whole));
            for namespace in chain.namespaces(tier).filter(|namespace| !namespace.is_empty()) {
                let Some(figures) = chain.namespace_figures(tier, namespace) else { continue };
                self.push(labels(cache, name, Some(&names::shown(namespace))), figures.clone(), None);
            }
        }
    }

    fn push(&mut self, labels: String, figures: TierFigures, whole: Option<Whole>) {
        if self.tiers.iter().all(|tier| tier.labels != labels) {
            self.tiers.push(Tier { labels, figures, whole });
        }
    }

    /// The page.
    pub fn text(self) -> String {
        let series = self.tiers.into_iter().map(|tier| Series { labels: tier.labels.clone(), figures: tier });
        let mut page = Page::new(series.collect());
        page.counters("tier_requests_total", "Keys that a tier was asked for, by what came of it.", |tier| {
            let f = &tier.figures;
            vec![
                ("result=\"hit\"", f.hits),
                ("result=\"stale\"", f.stale),
                ("result=\"miss\"", f.misses),
                ("result=\"purged\"", f.purged),
                ("result=\"refused\"", f.refusals()),
                ("result=\"lost\"", f.lost),
                ("result=\"skipped\"", f.skipped),
            ]
        });
        page.counters("tier_read_failures_total", "Reads of a tier that failed.", |tier| {
            vec![("reason=\"error\"", tier.figures.read_errors), ("reason=\"timeout\"", tier.figures.read_timeouts)]
        });
        page.histogram("tier_read_duration_seconds", "How long reads took.", MILLIS, seconds, |tier| {
            &tier.figures.read_millis
        });
        page.counter("tier_promotions_total", "Values copied to a tier from one below.", |tier| {
            tier.figures.promotions
        });
        page.counters("tier_writes_total", "Values for a tier, by what came of it.", |tier| {
            tier.whole.into_iter().flat_map(|whole| whole.writes).collect()
        });
        page.counters("tier_purges_total", "Purges that a tier was told.", |tier| {
            tier.whole.iter().map(|whole| ("", whole.purges)).collect()
        });
        page.gauge("tier_purges_owed", "Whether a tier has yet to be told of purges.", |tier| {
            tier.whole.map(|whole| u64::from(whole.owes_purges))
        });
        page.gauges("tier_breaker_open", "Whether a tier is left alone.", |tier| {
            let is_open = |state| u64::from(state == BreakerState::Open);
            let lanes = |Whole { breakers: (reads, writes), .. }: Whole| {
                [("lane=\"read\"", is_open(reads)), ("lane=\"write\"", is_open(writes))]
            };
            tier.whole.into_iter().flat_map(lanes).collect()
        });
        page.text
    }
}
