//! What is simulated, as options say it.

/// A store below memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    CacheApi,
    Kv,
    Object,
    Redis,
    R2,
}

impl Tier {
    pub const ALL: [(&'static str, Self); 5] = [
        ("cache", Self::CacheApi),
        ("kv", Self::Kv),
        ("object", Self::Object),
        ("redis", Self::Redis),
        ("r2", Self::R2),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, tier)| *tier == self).map_or("", |(name, _)| name)
    }

    /// What the npm tiers have if nobody says, in ms.
    pub fn timeout(self) -> u64 {
        match self {
            Self::CacheApi | Self::Redis => 250,
            Self::Kv | Self::Object => 1_000,
            Self::R2 => 2_000,
        }
    }
}

/// What goes wrong, from when, in seconds, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub at: f64,
    pub lasts: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The store's objects, KV, R2 or Redis answer with errors; the objects of leases and the log lose what they had in memory.
    Dead(Target),
    /// The east reaches nothing beyond its places but the origin: calls get no answer.
    Partition,
    /// One isolate of ten sleeps: nothing of it runs until it wakes.
    Sleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Tier(Tier),
    Lease,
    Log,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub isolates: usize,
    pub places: usize,
    pub keys: usize,
    pub zipf: f64,
    pub rate: f64,
    pub seconds: f64,
    pub warmup: f64,
    pub ttl: u64,
    pub swr: u64,
    pub entries: u64,
    pub tiers: Vec<Tier>,
    pub lease: bool,
    pub log: bool,
    pub shards: usize,
    pub lease_shards: usize,
    pub purges: f64,
    pub tags: bool,
    pub lifetime: f64,
    pub herd: usize,
    pub burst: Option<(f64, f64, f64)>,
    pub origin: f64,
    pub origin_failures: f64,
    pub object_rate: f64,
    pub kv_visible: f64,
    pub clock_skew: u64,
    pub late_writes: u64,
    pub faults: Vec<Fault>,
    pub prices: Vec<(String, f64)>,
    pub seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            isolates: 100,
            places: 10,
            keys: 10_000,
            zipf: 1.0,
            rate: 1_000.0,
            seconds: 120.0,
            warmup: 0.0,
            ttl: 60_000,
            swr: 0,
            entries: 10_000,
            tiers: vec![Tier::CacheApi, Tier::Kv],
            lease: false,
            log: false,
            shards: 1,
            lease_shards: 16,
            purges: 0.0,
            tags: false,
            lifetime: 600.0,
            herd: 0,
            burst: None,
            origin: 150.0,
            origin_failures: 0.0,
            object_rate: 1_000.0,
            kv_visible: 60.0,
            clock_skew: 500,
            late_writes: 1_000,
            faults: Vec::new(),
            prices: Vec::new(),
            seed: 1,
        }
    }
}

pub const USAGE: &str = "\
Usage: scripts/simulate [--OPTION=VALUE…]      one run
       scripts/simulate --table=NAME [--OPTION=VALUE…]  a table of docs/scale.md: sizes, herd, purges, log, shards, faults, prices
       scripts/simulate --docs=FILE                     all tables of a document, made anew (minutes)

An edge of many isolates in virtual time, by the machines of src/core and src/tier. The same options and seed print the same.

  --isolates=100    how many there are at once          --lifetime=600   how long one lives on average, in s
  --places=10       data centres, the first the busiest --keys=10000     --zipf=1       how uneven keys are asked for
  --rate=1000       gets a second                       --seconds=120    --warmup=0     what is not counted, in s
  --burst=60:10:5   from second 60 on, for 10 s, 5 times as many gets more, all for one key
  --herd=500        instead of all this: 500 gets at once, for one cold key
  --ttl=60          in s; --swr=0 stale-while-revalidate; --entries=10000 bound of an isolate's memory
  --tiers=cache,kv  in order, of cache, kv, object, redis, r2; empty: none
  --lease           one load for the whole edge; --lease-shards=16
  --log             isolates follow the log of purges
  --shards=1        objects behind the tier; --object-rate=1000 what one serves a second; --kv-visible=60 s
  --purges=0        updates of the source a second, each with a purge; --tags: each is of a tag that ten keys bear
  --origin=150      how long the origin takes, in ms (median); --origin-failures=0 part of calls that fail
  --clock-skew=500 --late-writes=1000   as docs/tiers.md has them, in ms
  --fault=KIND@AT+LEN   several, with commas: object, kv, r2, redis, cache, lease, log, partition, sleep; s
  --price=kv_reads:0.5  dollars per million of a unit, several, with commas
  --seed=1 --json";

/// Reads `--name=value` arguments. Others are told by name.
pub fn parse(arguments: &[String]) -> Result<Scenario, String> {
    let mut s = Scenario::default();
    for argument in arguments {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        let wrong = |wanted: &str| format!("{name} is {wanted}, not '{value}'");
        let number = || value.parse::<f64>().ok().filter(|n| *n >= 0.0).ok_or_else(|| wrong("a number from 0 on"));
        let positive = || number().and_then(|n| if n > 0.0 { Ok(n) } else { Err(wrong("a number above 0")) });
        let count = || value.parse::<usize>().ok().filter(|n| *n >= 1).ok_or_else(|| wrong("a whole number from 1 on"));
        let yes = || match value {
            "" | "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(wrong("true or false")),
        };
        match name {
            "--isolates" => s.isolates = count()?,
            "--places" => s.places = count()?,
            "--keys" => s.keys = count()?,
            "--zipf" => s.zipf = number()?,
            "--rate" => s.rate = positive()?,
            "--seconds" => s.seconds = positive()?,
            "--warmup" => s.warmup = number()?,
            "--ttl" => s.ttl = (positive()? * 1_000.0) as u64,
            "--swr" => s.swr = (number()? * 1_000.0) as u64,
            "--entries" => s.entries = count()? as u64,
            "--tiers" => s.tiers = list(value, |name| tier(name).ok_or_else(|| wrong("a list of tiers")))?,
            "--lease" => s.lease = yes()?,
            "--log" => s.log = yes()?,
            "--shards" => s.shards = count()?,
            "--lease-shards" => s.lease_shards = count()?,
            "--purges" => s.purges = number()?,
            "--tags" => s.tags = yes()?,
            "--lifetime" => s.lifetime = positive()?,
            "--herd" => s.herd = count()?,
            "--burst" => s.burst = Some(burst(value).ok_or_else(|| wrong("AT:LENGTH:FACTOR"))?),
            "--origin" => s.origin = positive()?,
            "--origin-failures" => s.origin_failures = number()?.min(1.0),
            "--object-rate" => s.object_rate = positive()?,
            "--kv-visible" => s.kv_visible = number()?,
            "--clock-skew" => s.clock_skew = number()? as u64,
            "--late-writes" => s.late_writes = number()? as u64,
            "--fault" => s.faults = list(value, |text| fault(text).ok_or_else(|| wrong("KIND@AT+LENGTH")))?,
            "--price" => s.prices = list(value, |text| price(text).ok_or_else(|| wrong("UNIT:DOLLARS")))?,
            "--seed" => s.seed = value.parse().map_err(|_| wrong("a whole number"))?,
            _ => return Err(format!("there is no option '{name}'; --help tells which there are")),
        }
    }
    if s.tiers.len() > 8 {
        return Err("a chain has 8 tiers at the most".to_owned());
    }
    Ok(s)
}

fn list<T>(value: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').filter(|text| !text.is_empty()).map(item).collect()
}

fn tier(name: &str) -> Option<Tier> {
    Tier::ALL.iter().find(|(known, _)| *known == name).map(|(_, tier)| *tier)
}

fn burst(text: &str) -> Option<(f64, f64, f64)> {
    let mut parts = text.split(':').map(|part| part.parse::<f64>().ok().filter(|n| *n >= 0.0));
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn fault(text: &str) -> Option<Fault> {
    let (kind, when) = text.split_once('@')?;
    let (at, lasts) = when.split_once('+')?;
    let kind = match kind {
        "partition" => FaultKind::Partition,
        "sleep" => FaultKind::Sleep,
        "lease" => FaultKind::Dead(Target::Lease),
        "log" => FaultKind::Dead(Target::Log),
        name => FaultKind::Dead(Target::Tier(tier(name)?)),
    };
    Some(Fault { kind, at: at.parse().ok()?, lasts: lasts.parse().ok()? })
}

fn price(text: &str) -> Option<(String, f64)> {
    let (unit, dollars) = text.split_once(':')?;
    Some((unit.to_owned(), dollars.parse().ok()?))
}
