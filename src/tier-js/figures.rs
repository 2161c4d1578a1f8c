//! Figures and events, as JS takes them.

use nearcache::figures::{self, Thresholds, Window};
use nearcache::tier::{BreakerState, ChainEvent, Lane, Place, TierFigures};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{Chain, to_time};

pub(super) fn event(event: ChainEvent) -> Vec<String> {
    let (kind, tier, what) = match event {
        ChainEvent::Failing { tier, lane } => ("failing", tier, lane_name(lane)),
        ChainEvent::Recovered { tier, lane } => ("recovered", tier, lane_name(lane)),
        ChainEvent::Refused { tier, refused } => ("refused", tier, refused.reason()),
    };
    vec![kind.to_owned(), tier.to_string(), what.to_owned()]
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Read => "read",
        Lane::Write => "write",
    }
}

pub(super) fn state_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    }
}

#[wasm_bindgen]
impl Chain {
    /// The figures of a tier, as JSON: as a whole, or what concerns the namespace of a part.
    pub fn figures(&self, tier: u8, now: f64, place: Option<String>) -> String {
        let (tier, now) = (tier.into(), to_time(now));
        let whole = self.chain.figures(tier);
        let own = place.map(|place| Place::from_name(&place)).map(|place| {
            let own = self.chain.namespace_figures(tier, place.namespaces());
            own.cloned().unwrap_or_default()
        });
        let (Some(figures), Some(breakers)) = (own.as_ref().or(whole), self.chain.breakers(tier, now)) else {
            return String::new();
        };
        json(figures, breakers)
    }

    /// What became of thresholds (`Thresholds::from_numbers`) on a tier in the last `window` ms: for each one that is set value,
    /// samples, and 1 if it is well.
    pub fn health(&mut self, tier: u8, now: f64, window: f64, thresholds: &[f64]) -> Vec<f64> {
        let Ok(numbers) = thresholds.try_into() else { return Vec::new() };
        let Some(stats) = self.chain.figures(tier.into()) else { return Vec::new() };
        let recent = self.windows.recent(tier, window, to_time(now), stats);
        figures::health(&recent, &Thresholds::from_numbers(numbers)).to_numbers()
    }
}

/// What happened lately at the tiers, by how long that is.
#[derive(Default)]
pub(super) struct RecentFigures(Vec<(u8, f64, Window<TierFigures>)>);

/// More windows than this are not kept: they are asked for by programs that know what they want.
const MOST_WINDOWS: usize = 64;

impl RecentFigures {
    fn recent(&mut self, tier: u8, millis: f64, now: nearcache::Timestamp, stats: &TierFigures) -> TierFigures {
        let known = self.0.iter().position(|(of, long, _)| *of == tier && *long == millis);
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= MOST_WINDOWS {
                self.0.remove(0);
            }
            self.0.push((tier, millis, Window::new(millis as u64)));
            self.0.len() - 1
        });
        self.0.get_mut(at).map(|(_, _, window)| window.recent(now, stats)).unwrap_or_default()
    }
}

/// A page for Prometheus of the tiers of some caches.
#[wasm_bindgen]
#[derive(Default)]
pub struct TierPage {
    page: figures::TierPage,
}

#[wasm_bindgen]
impl TierPage {
    /// Without any.
    #[wasm_bindgen(constructor)]
    pub fn new() -> TierPage {
        TierPage::default()
    }

    /// Adds those of a cache, by their names.
    pub fn add(&mut self, cache: &str, names: Vec<String>, chain: &Chain, now: f64) {
        self.page.add(cache, &names, &chain.chain, to_time(now));
    }

    /// The page, of which nothing is left.
    pub fn text(self) -> String {
        self.page.text()
    }
}

/// By hand: a serializer would be a third of this wasm. No name in it needs an escape.
fn json(f: &TierFigures, (reads, writes): (BreakerState, BreakerState)) -> String {
    let counts = [
        ("asked", f.asked),
        ("skipped", f.skipped),
        ("hits", f.hits),
        ("stale", f.stale),
        ("misses", f.misses),
        ("purged", f.purged),
        ("lost", f.lost),
        ("readErrors", f.read_errors),
        ("readTimeouts", f.read_timeouts),
        ("writes", f.writes),
        ("writeErrors", f.write_errors),
        ("writesSkipped", f.writes_skipped),
        ("tooLarge", f.too_large),
        ("promotions", f.promotions),
        ("purges", f.purges),
        ("refusals", f.refusals()),
    ];
    let quantile = |q| f.read_millis.quantile(q).unwrap_or(0);
    let mut fields: Vec<String> = counts.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
    let refused: Vec<String> = f.refused.iter().map(|(reason, count)| format!("\"{reason}\":{count}")).collect();
    fields.push(format!("\"refused\":{{{}}}", refused.join(",")));
    fields.push(format!(
        "\"readMillis\":{{\"count\":{},\"sum\":{},\"p50\":{},\"p99\":{},\"max\":{}}}",
        f.read_millis.count(),
        f.read_millis.sum(),
        quantile(0.5),
        quantile(0.99),
        f.read_millis.max()
    ));
    fields.push(format!("\"hitRate\":{},\"errorRate\":{}", share(f.hit_rate()), share(f.error_rate())));
    fields.push(format!("\"reads\":\"{}\",\"writing\":\"{}\"", state_name(reads), state_name(writes)));
    format!("{{{}}}", fields.join(","))
}

/// A share to six digits: formatting floats takes room in a wasm.
fn share(share: f64) -> String {
    let millionths = (share * 1e6) as u32;
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}
