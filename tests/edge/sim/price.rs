//! What is paid for, in the platforms' units, and what a million of each costs.

/// How much was used.
#[derive(Clone, Debug, Default)]
pub struct Units {
    pub kv_reads: u64,
    pub kv_writes: u64,
    pub kv_deletes: u64,
    pub object_requests: u64,
    /// How long objects were at work, in µs.
    pub object_micros: u64,
    pub rows_read: u64,
    pub rows_written: u64,
    pub r2_writes: u64,
    pub r2_reads: u64,
    pub redis_commands: u64,
    pub cache_calls: u64,
}

/// An object is paid for as if it had so much memory, in GB.
const OBJECT_GB: f64 = 0.128;

/// Unit and dollars per million, beyond what a plan includes. Workers Paid, developers.cloudflare.com: kv/platform/pricing,
/// durable-objects/platform/pricing and r2/pricing, as read on 2026-11-22. What Redis costs its host says.
pub const PRICES: [(&str, f64); 11] = [
    ("kv_reads", 0.50),
    ("kv_writes", 5.00),
    ("kv_deletes", 5.00),
    ("object_requests", 0.15),
    ("object_gb_seconds", 12.50),
    ("rows_read", 0.001),
    ("rows_written", 1.00),
    ("r2_writes", 4.50),
    ("r2_reads", 0.36),
    ("redis_commands", 0.0),
    ("cache_calls", 0.0),
];

impl Units {
    /// By the names of [`PRICES`].
    pub fn all(&self) -> [(&'static str, f64); 11] {
        let amounts = [
            self.kv_reads as f64,
            self.kv_writes as f64,
            self.kv_deletes as f64,
            self.object_requests as f64,
            self.object_micros as f64 / 1e6 * OBJECT_GB,
            self.rows_read as f64,
            self.rows_written as f64,
            self.r2_writes as f64,
            self.r2_reads as f64,
            self.redis_commands as f64,
            self.cache_calls as f64,
        ];
        std::array::from_fn(|at| (PRICES[at].0, amounts[at]))
    }

    /// In dollars, `own` prices before those above.
    pub fn dollars(&self, own: &[(String, f64)]) -> f64 {
        let price =
            |unit: &str, usual: f64| own.iter().find(|(name, _)| name == unit).map_or(usual, |(_, price)| *price);
        self.all().iter().zip(PRICES).map(|((unit, amount), (_, usual))| amount / 1e6 * price(unit, usual)).sum()
    }
}
