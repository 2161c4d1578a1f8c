//! Figures and events, as JS takes them.

use nearcache::Timestamp;
use nearcache::tier::{BreakerState, Chain, ChainEvent, Lane};

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

fn state_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    }
}

/// By hand: a serializer would be a third of this wasm. No name in it needs an escape.
pub(super) fn json(chain: &Chain, tier: usize, now: Timestamp) -> Option<String> {
    let f = chain.figures(tier)?;
    let (reads, writes) = chain.breakers(tier, now)?;
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
    fields.push(format!("\"reads\":\"{}\",\"writing\":\"{}\"", state_name(reads), state_name(writes)));
    Some(format!("{{{}}}", fields.join(",")))
}
