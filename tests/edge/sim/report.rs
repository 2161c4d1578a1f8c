//! What a run came to.

use serde_json::{Value, json};

use super::figures::Durations;
use super::price::Units;
use super::scenario::Scenario;
use super::world::World;

/// The figures of a run, as tables and tests want them. Shares are parts of all gets; durations are in ms.
pub struct Report {
    pub scenario: Scenario,
    pub gets: u64,
    pub memory: f64,
    pub shared: f64,
    pub tiers: Vec<(&'static str, f64)>,
    pub origin: f64,
    pub failed: u64,
    pub lost_with_isolate: u64,
    pub origin_calls: u64,
    pub calls_per_key_and_ttl: (f64, f64),
    pub origin_peak: u64,
    pub latency: Durations,
    pub purges: u64,
    pub stale_answers: u64,
    pub staleness: Vec<u64>,
    pub busiest_store: u64,
    pub busiest_lease: u64,
    /// Looks at the log: so many a second, and those that failed.
    pub looks: u64,
    pub late_looks: u64,
    pub refused: u64,
    pub refused_writes: u64,
    pub leases: u64,
    pub lease_waits: u64,
    pub alone: u64,
    pub most_at_once: u32,
    pub subrequests: f64,
    pub most_subrequests: u32,
    pub units: Units,
    pub dollars: f64,
    pub deaths: u64,
    pub violations: Vec<String>,
    pub violation_count: u64,
}

impl Report {
    pub fn of(scenario: Scenario) -> Self {
        let mut world = World::new(scenario);
        world.run();
        let deadline = world.deadline();
        let World { scenario, figures: f, mut truth, units, stores, leases, log, deaths, lost_with_isolate, .. } =
            world;
        if f.latency.max > deadline {
            truth.violated(format!("a get took {} ms", f.latency.max / 1_000));
        }
        let share = |count: u64| count as f64 / f.gets.max(1) as f64;
        let seconds = if scenario.herd > 0 { 1.0 } else { scenario.seconds };
        let servers = || stores.servers().chain(leases.iter().map(|shard| &shard.server)).chain([&log.server]);
        let occupied = servers().map(|server| server.occupied).sum();
        let units = Units { object_micros: occupied, ..units };
        let busiest = |served: Option<u64>| (served.unwrap_or(0) as f64 / seconds).round() as u64;
        Self {
            gets: f.gets,
            memory: share(f.memory),
            shared: share(f.shared),
            tiers: scenario.tiers.iter().enumerate().map(|(at, tier)| (tier.name(), share(f.tiers[at]))).collect(),
            origin: share(f.origin),
            failed: f.failed,
            lost_with_isolate,
            origin_calls: f.origin_calls,
            calls_per_key_and_ttl: f.calls_per_key_and_ttl(),
            origin_peak: f.origin_peak,
            purges: f.purges,
            stale_answers: truth.stale_answers,
            staleness: truth.staleness(),
            busiest_store: busiest(stores.servers().map(|server| server.served).max()),
            busiest_lease: busiest(leases.iter().map(|shard| shard.server.served).max()),
            looks: busiest(Some(log.server.served)),
            late_looks: log.late,
            refused: servers().map(|server| server.refused()).sum(),
            refused_writes: stores.refused_writes,
            leases: f.leases,
            lease_waits: f.lease_waits,
            alone: f.alone,
            most_at_once: f.most_at_once,
            subrequests: f.subrequests as f64 / f.loads.max(1) as f64,
            most_subrequests: f.most_subrequests,
            dollars: units.dollars(&scenario.prices) / f.gets.max(1) as f64 * 1e6,
            units,
            deaths,
            latency: f.latency,
            violations: std::mem::take(&mut truth.violations),
            violation_count: truth.violation_count,
            scenario,
        }
    }

    /// Of all purges, after how long the part `q` of them was seen by all, in ms.
    pub fn stale_for(&self, q: f64) -> f64 {
        let at = ((self.staleness.len() as f64 * q).ceil() as usize).max(1) - 1;
        self.staleness.get(at.min(self.staleness.len().max(1) - 1)).map_or(0.0, |micros| *micros as f64 / 1e3)
    }

    pub fn latency_millis(&self, q: f64) -> f64 {
        self.latency.quantile(q) as f64 / 1e3
    }

    pub fn json(&self) -> Value {
        let tiers: serde_json::Map<String, Value> =
            self.tiers.iter().map(|(name, share)| ((*name).to_owned(), json!(share))).collect();
        let units: serde_json::Map<String, Value> =
            self.units.all().iter().map(|(name, amount)| ((*name).to_owned(), json!(amount))).collect();
        let (average, worst) = self.calls_per_key_and_ttl;
        json!({
            "seed": self.scenario.seed,
            "gets": self.gets,
            "shares": { "memory": self.memory, "shared": self.shared, "tiers": tiers, "origin": self.origin },
            "failed": self.failed,
            "lostWithIsolate": self.lost_with_isolate,
            "origin": { "calls": self.origin_calls, "perKeyAndTtl": average, "worstKey": worst, "peak": self.origin_peak },
            "latency": {
                "p50": self.latency_millis(0.5), "p90": self.latency_millis(0.9), "p99": self.latency_millis(0.99),
                "p999": self.latency_millis(0.999), "max": self.latency.max as f64 / 1e3,
            },
            "staleness": {
                "purges": self.purges, "staleAnswers": self.stale_answers,
                "p50": self.stale_for(0.5), "p99": self.stale_for(0.99), "max": self.stale_for(1.0),
            },
            "objects": {
                "busiestStore": self.busiest_store, "busiestLease": self.busiest_lease, "overloaded": self.refused,
                "refusedWrites": self.refused_writes, "log": self.looks, "lateLooks": self.late_looks,
            },
            "leases": {
                "given": self.leases, "waits": self.lease_waits, "alone": self.alone, "mostAtOnce": self.most_at_once,
            },
            "subrequests": { "perLoad": self.subrequests, "most": self.most_subrequests },
            "units": units,
            "dollarsPerMillionGets": self.dollars,
            "deaths": self.deaths,
            "violations": self.violation_count,
            "firstViolations": self.violations,
        })
    }

    pub fn print(&self) {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let line = |name: &str, value: String| println!("{name:<28} {value}");
        line("gets", self.gets.to_string());
        line("  answered from memory", percent(self.memory));
        line("  shared another's load", percent(self.shared));
        for (name, share) in &self.tiers {
            line(&format!("  answered by {name}"), percent(*share));
        }
        line("  asked the origin", percent(self.origin));
        line("  failed", self.failed.to_string());
        line("  lost with their isolate", format!("{} ({} isolates ended)", self.lost_with_isolate, self.deaths));
        let (average, worst) = self.calls_per_key_and_ttl;
        line("origin calls", format!("{}, at most {} a second", self.origin_calls, self.origin_peak));
        line("  per key and ttl", format!("{average:.2} on average, {worst:.1} for the worst key"));
        let ms = |q: f64| format!("{:.1}", self.latency_millis(q));
        line(
            "latency of a get, ms",
            format!(
                "p50 {}, p90 {}, p99 {}, p99.9 {}, max {:.0}",
                ms(0.5),
                ms(0.9),
                ms(0.99),
                ms(0.999),
                self.latency.max as f64 / 1e3
            ),
        );
        if self.purges > 0 {
            let (p50, p99, max) = (self.stale_for(0.5), self.stale_for(0.99), self.stale_for(1.0));
            line("purges", format!("{}, {} stale answers", self.purges, self.stale_answers));
            line("  old value seen for, ms", format!("p50 {p50:.0}, p99 {p99:.0}, max {max:.0}"));
        }
        line("busiest object", format!("{} calls a second, {} refused", self.busiest_store, self.refused));
        if self.scenario.log {
            line("object of the log", format!("{} calls a second, {} looks in vain", self.looks, self.late_looks));
        }
        if self.scenario.lease {
            line("busiest object of leases", format!("{} calls a second", self.busiest_lease));
            line("leases", format!("{} given, {} waits, {} loads without", self.leases, self.lease_waits, self.alone));
            line("  loads of one key at once", format!("{} at most", self.most_at_once));
        }
        line("writes refused (1 a second)", self.refused_writes.to_string());
        line("subrequests a load", format!("{:.1}, {} at most", self.subrequests, self.most_subrequests));
        for (unit, amount) in self.units.all().into_iter().filter(|(_, amount)| *amount > 0.0) {
            line(&format!("  {unit} per million gets"), format!("{:.0}", amount / self.gets.max(1) as f64 * 1e6));
        }
        line("dollars per million gets", format!("{:.3}", self.dollars));
        line("what may not be", self.violation_count.to_string());
        for violation in &self.violations {
            println!("  {violation}");
        }
    }
}
