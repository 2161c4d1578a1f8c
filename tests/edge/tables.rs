//! The tables of docs/scale.md: runs side by side.

use crate::sim::{Report, parse};

/// A column: its head, and what it says of a run.
type Column = (&'static str, fn(&Report) -> String);

struct Table {
    name: &'static str,
    /// What all its runs have in common.
    options: &'static str,
    /// What tells them apart, by the options that say so. Rows of one size stand together.
    rows: &'static [(&'static str, &'static str)],
    columns: &'static [Column],
}

const DESIGN: &str = "design";

const ORIGIN: Column = ("origin calls per key and ttl", |r| format!("{:.1}", r.calls_per_key_and_ttl.0));
const CALLS: Column = ("origin calls", |r| r.origin_calls.to_string());
const MEMORY: Column = ("memory", |r| percent(r.memory + r.shared));
const BELOW: Column = ("tiers", |r| match &r.tiers[..] {
    [] => "–".to_owned(),
    tiers => {
        let each: Vec<_> = tiers.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect();
        each.join(", ")
    }
});
const MISSED: Column = ("origin", |r| percent(r.origin));
const HALF: Column = ("get p50, ms", |r| format!("{:.0}", r.latency_millis(0.5)));
const TAIL: Column = ("p99, ms", |r| format!("{:.0}", r.latency_millis(0.99)));
const SLOWEST: Column = ("slowest get, ms", |r| format!("{:.0}", r.latency_millis(1.0)));
const DOLLARS: Column = ("$ a million gets", |r| format!("{:.2}", r.dollars));
const FAILED: Column = ("failed gets", |r| r.failed.to_string());

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

const TABLES: &[Table] = &[
    Table {
        name: "sizes",
        options: "--seconds=60 --warmup=60",
        rows: &[
            ("3 isolates, 1 place: memory alone", "--isolates=3 --places=1 --rate=50 --tiers="),
            ("Cache API", "--isolates=3 --places=1 --rate=50 --tiers=cache"),
            ("Redis", "--isolates=3 --places=1 --rate=50 --tiers=redis"),
            ("Redis, leases", "--isolates=3 --places=1 --rate=50 --tiers=redis --lease"),
            ("30 isolates, 3 places: memory alone", "--isolates=30 --places=3 --rate=500 --tiers="),
            ("Cache API", "--isolates=30 --places=3 --rate=500 --tiers=cache"),
            ("Redis, leases", "--isolates=30 --places=3 --rate=500 --tiers=redis --lease"),
            ("Cache API, object, leases", "--isolates=30 --places=3 --rate=500 --tiers=cache,object --lease"),
            ("300 isolates, 30 places: memory alone", "--isolates=300 --places=30 --rate=2000 --tiers="),
            ("Cache API", "--isolates=300 --places=30 --rate=2000 --tiers=cache"),
            ("Cache API, KV", "--isolates=300 --places=30 --rate=2000 --tiers=cache,kv"),
            (
                "Cache API, object, leases",
                "--isolates=300 --places=30 --rate=2000 --tiers=cache,object --lease --shards=16",
            ),
            ("3,000 isolates, 150 places: memory alone", "--isolates=3000 --places=150 --rate=5000 --tiers="),
            ("Cache API", "--isolates=3000 --places=150 --rate=5000 --tiers=cache"),
            ("Cache API, KV", "--isolates=3000 --places=150 --rate=5000 --tiers=cache,kv"),
            (
                "Cache API, object, leases",
                "--isolates=3000 --places=150 --rate=5000 --tiers=cache,object --lease --shards=64",
            ),
            ("10,000 isolates, 300 places: memory alone", "--isolates=10000 --places=300 --rate=10000 --tiers="),
            ("Cache API", "--isolates=10000 --places=300 --rate=10000 --tiers=cache"),
            ("Cache API, KV", "--isolates=10000 --places=300 --rate=10000 --tiers=cache,kv"),
            (
                "Cache API, object, leases",
                "--isolates=10000 --places=300 --rate=10000 --tiers=cache,object --lease --shards=64",
            ),
        ],
        columns: &[MEMORY, BELOW, MISSED, ORIGIN, HALF, TAIL, DOLLARS],
    },
    Table {
        name: "herd",
        options: "",
        rows: &[
            ("8 isolates, 1 place: memory alone", "--herd=500 --isolates=8 --places=1 --tiers="),
            ("object", "--herd=500 --isolates=8 --places=1 --tiers=object"),
            ("object, leases", "--herd=500 --isolates=8 --places=1 --tiers=object --lease"),
            ("300 isolates, 30 places: memory alone", "--herd=3000 --isolates=300 --places=30 --tiers="),
            ("Cache API", "--herd=3000 --isolates=300 --places=30 --tiers=cache"),
            ("KV", "--herd=3000 --isolates=300 --places=30 --tiers=kv"),
            ("object", "--herd=3000 --isolates=300 --places=30 --tiers=object"),
            ("object, leases", "--herd=3000 --isolates=300 --places=30 --tiers=object --lease"),
            ("Redis, leases", "--herd=3000 --isolates=300 --places=30 --tiers=redis --lease"),
            (
                "10,000 isolates, 300 places: Cache API, KV",
                "--herd=20000 --isolates=10000 --places=300 --tiers=cache,kv",
            ),
            ("Cache API, object, leases", "--herd=20000 --isolates=10000 --places=300 --tiers=cache,object --lease"),
        ],
        columns: &[
            CALLS,
            HALF,
            SLOWEST,
            ("loads without a lease", |r| r.alone.to_string()),
            ("calls refused by objects", |r| r.refused.to_string()),
        ],
    },
    Table {
        name: "purges",
        options: "--isolates=300 --places=30 --rate=2000 --purges=2 --seconds=60 --warmup=60",
        rows: &[
            ("memory alone", "--tiers="),
            ("Cache API", "--tiers=cache"),
            ("KV", "--tiers=kv"),
            ("Cache API, KV", "--tiers=cache,kv"),
            ("object", "--tiers=object --shards=16"),
            ("object, leases", "--tiers=object --shards=16 --lease"),
            ("object, leases, ttl 10 s", "--tiers=object --shards=16 --lease --ttl=10"),
            ("memory alone, log of purges", "--tiers= --log"),
            ("Cache API, KV, log of purges", "--tiers=cache,kv --log"),
            ("object, leases, log of purges", "--tiers=object --shards=16 --lease --log"),
        ],
        columns: &[
            ("stale answers", |r| format!("{:.2} %", r.stale_answers as f64 / r.gets as f64 * 100.0)),
            ("old value seen: half of purges, ms", |r| format!("{:.0}", r.stale_for(0.5))),
            ("99 %", |r| format!("{:.0}", r.stale_for(0.99))),
            ("longest", |r| format!("{:.0}", r.stale_for(1.0))),
            ORIGIN,
            TAIL,
        ],
    },
    Table {
        name: "log",
        options: "--tiers=cache,kv --log --purges=1 --seconds=30 --warmup=10",
        rows: &[
            ("300 isolates, 30 places, 2,000 gets a second", "--isolates=300 --places=30 --rate=2000"),
            ("1,000 isolates, 100 places, 5,000 gets a second", "--isolates=1000 --places=100 --rate=5000"),
            ("3,000 isolates, 150 places, 5,000 gets a second", "--isolates=3000 --places=150 --rate=5000"),
            ("10,000 isolates, 300 places, 10,000 gets a second", "--isolates=10000 --places=300 --rate=10000"),
        ],
        columns: &[
            ("calls of the log a second", |r| r.looks.to_string()),
            ("looks in vain", |r| r.late_looks.to_string()),
            ("old value seen: half of purges, ms", |r| format!("{:.0}", r.stale_for(0.5))),
            ("99 %", |r| format!("{:.0}", r.stale_for(0.99))),
            ("longest", |r| format!("{:.0}", r.stale_for(1.0))),
            TAIL,
        ],
    },
    Table {
        name: "shards",
        options: "--isolates=1000 --places=100 --rate=5000 --keys=10000 --tiers=object --lease --seconds=30 --warmup=30",
        rows: &[("1", "--shards=1"), ("4", "--shards=4"), ("16", "--shards=16"), ("64", "--shards=64")],
        columns: &[
            ("busiest object, calls a second", |r| r.busiest_store.to_string()),
            ("busiest object of leases", |r| r.busiest_lease.to_string()),
            ("calls refused", |r| r.refused.to_string()),
            ("answered by the object", |r| percent(r.tiers[0].1)),
            ORIGIN,
            TAIL,
        ],
    },
    Table {
        name: "faults",
        options: "--isolates=300 --places=30 --rate=1000 --tiers=cache,object --shards=16 --lease --purges=0.5 --seconds=60 --warmup=30",
        rows: &[
            ("none", ""),
            ("the objects of the tier fail, 20 s", "--fault=object@50+20"),
            ("the objects of leases fail, 20 s", "--fault=lease@50+20"),
            ("both", "--fault=object@50+20,lease@50+20"),
            ("the east is cut off, 20 s", "--fault=partition@50+20"),
            ("one isolate of ten sleeps, 20 s", "--fault=sleep@50+20"),
            ("one origin call of ten fails", "--origin-failures=0.1"),
        ],
        columns: &[
            FAILED,
            CALLS,
            ("loads without a lease", |r| r.alone.to_string()),
            HALF,
            TAIL,
            SLOWEST,
            ("what may not be", |r| r.violation_count.to_string()),
        ],
    },
    Table {
        name: "prices",
        options: "--isolates=300 --places=30 --rate=2000 --seconds=60 --warmup=60 --purges=0.2",
        rows: &[
            ("Cache API", "--tiers=cache"),
            ("Cache API, KV", "--tiers=cache,kv"),
            ("KV", "--tiers=kv"),
            ("Cache API, object", "--tiers=cache,object --shards=16"),
            ("Cache API, object, leases", "--tiers=cache,object --shards=16 --lease"),
            ("object", "--tiers=object --shards=16"),
            ("Cache API, R2", "--tiers=cache,r2"),
            ("Redis, leases", "--tiers=redis --lease"),
        ],
        columns: &[
            ("KV reads", |r| thousands(r, r.units.kv_reads)),
            ("KV writes", |r| thousands(r, r.units.kv_writes)),
            ("object requests", |r| thousands(r, r.units.object_requests)),
            ("GB-s", |r| format!("{:.0}", r.units.all()[4].1 / r.gets as f64 * 1e6)),
            ("rows written", |r| thousands(r, r.units.rows_written)),
            ("R2 reads", |r| thousands(r, r.units.r2_reads)),
            ("R2 writes", |r| thousands(r, r.units.r2_writes)),
            ("Redis commands", |r| thousands(r, r.units.redis_commands)),
            ("Cache API calls", |r| thousands(r, r.units.cache_calls)),
            ("subrequests a load: mean, most", |r| format!("{:.1}, {}", r.subrequests, r.most_subrequests)),
            DOLLARS,
        ],
    },
];

/// Thousands per million gets.
fn thousands(report: &Report, count: u64) -> String {
    match count {
        0 => "–".to_owned(),
        _ => format!("{:.0}", count as f64 / report.gets.max(1) as f64 * 1e3),
    }
}

/// A document with its tables made anew: each stands below a comment that names it.
pub fn renew(document: &str) -> Result<(String, u64), String> {
    let mut out = Vec::new();
    let mut violations = 0;
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        out.push(line.to_owned());
        let Some(name) = line.strip_prefix("<!-- scripts/simulate --table=").and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        out.push(String::new());
        let (rows, wrong) = table(name, &[])?;
        violations += wrong;
        out.push(rows);
        while lines.next_if(|line| line.is_empty()).is_some() {}
        while lines.next_if(|line| line.starts_with('|')).is_some() {}
        while lines.next_if(|line| line.is_empty()).is_some() {}
        out.push(String::new());
    }
    Ok((out.join("\n") + "\n", violations))
}

/// A table in Markdown, and how often something was that may not be. `options` are for all its rows.
pub fn table(name: &str, options: &[String]) -> Result<(String, u64), String> {
    let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    let Some(table) = TABLES.iter().find(|table| table.name == name) else {
        return Err(format!("there is no table '{name}'; there are {}", names.join(", ")));
    };
    let heads: Vec<_> = std::iter::once(DESIGN).chain(table.columns.iter().map(|(head, _)| *head)).collect();
    let mut lines = vec![format!("| {} |", heads.join(" | ")), format!("|{}", " --- |".repeat(heads.len()))];
    let mut violations = 0;
    for (name, own) in table.rows {
        let words = format!("{} {own}", table.options);
        let all: Vec<_> = words.split_whitespace().map(str::to_owned).chain(options.iter().cloned()).collect();
        let report = Report::of(parse(&all)?);
        violations += report.violation_count;
        for violation in &report.violations {
            eprintln!("{name}: {violation}");
        }
        let cells: Vec<_> = table.columns.iter().map(|(_, cell)| cell(&report)).collect();
        lines.push(format!("| {name} | {} |", cells.join(" | ")));
    }
    Ok((lines.join("\n"), violations))
}
