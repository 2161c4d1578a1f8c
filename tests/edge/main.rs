//! The edge in virtual time, in short: what no schedule may break, and figures that designs are chosen by.
#![allow(dead_code, reason = "scripts/simulate has its part")]
#![cfg(all(feature = "tier", not(target_family = "wasm")))]

mod sim;

use sim::{Report, parse, seed};

/// A run by the options of scripts/simulate. Whatever may not be is a failure.
fn run(options: &str) -> Report {
    let seed = format!("--seed={}", seed());
    let words: Vec<_> = options.split_whitespace().map(str::to_owned).chain([seed]).collect();
    let report = Report::of(parse(&words).unwrap());
    println!("{options} {}: {:#}", words.last().unwrap(), report.json());
    assert_eq!(report.violation_count, 0, "{options}, seed {}: {:?}", report.scenario.seed, report.violations);
    report
}

const EDGE: &str = "--isolates=100 --places=20 --rate=400 --keys=300 --ttl=8 --seconds=25 --lifetime=60";

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn nothing_breaks_whatever_fails() {
    for tiers in
        ["cache", "kv", "object --shards=4", "redis", "r2", "cache,kv", "cache,object --lease", "kv,redis --lease"]
    {
        for faults in [
            "",
            "--tags",
            "--swr=5",
            "--origin-failures=0.2",
            "--origin=2500",
            "--log --fault=log@12+6",
            "--entries=20",
            "--fault=object@15+10,lease@20+10,kv@15+10",
            "--fault=partition@15+10",
            "--fault=sleep@15+8",
            "--fault=cache@12+5,redis@15+10,r2@15+5",
            "--burst=20:5:3",
            "--clock-skew=2000",
        ] {
            let report = run(&format!("{EDGE} --purges=5 --tiers={tiers} {faults}"));
            assert!(report.gets > 8_000 && report.purges > 80, "worth something");
        }
    }
}

#[test]
fn a_run_is_the_same_by_its_seed() {
    let options = format!("{EDGE} --purges=5 --tiers=cache,object --lease");
    assert_eq!(run(&options).json(), run(&options).json());
}

/// What tests/tiers/run-edge.mjs measures in workerd.
#[test]
fn five_hundred_gets_over_eight_isolates_cost_what_they_cost_in_workerd() {
    let edge = "--herd=500 --isolates=8 --places=1 --tiers=object --shards=1 --origin=300";
    assert_eq!(run(edge).origin_calls, 8);
    let leased = run(&format!("{edge} --lease"));
    assert_eq!((leased.origin_calls, leased.alone), (1, 0));
    let broken = run(&format!("{edge} --lease --fault=lease@0+60"));
    assert_eq!((broken.origin_calls, broken.failed), (8, 0));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn a_lease_makes_loads_of_all_isolates_one() {
    let edge = "--isolates=300 --places=30 --rate=2000 --keys=2000 --seconds=30 --warmup=30 --ttl=20 --shards=8";
    let without = run(&format!("{edge} --tiers=object"));
    let with = run(&format!("{edge} --tiers=object --lease"));
    let ((average, worst), (_, without)) = (with.calls_per_key_and_ttl, without.calls_per_key_and_ttl);
    assert!(average < 1.05 && worst < 3.0, "{average} on average, {worst} for the worst key");
    assert!(without > 5.0 * worst, "{without} for the worst key without");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn a_tier_in_another_place_is_never_worth_a_long_wait() {
    let edge = "--isolates=200 --places=30 --rate=500 --keys=500 --seconds=40 --shards=8 --purges=1";
    for faults in
        ["--tiers=cache,object --fault=object@10+20", "--tiers=redis", "--tiers=object --fault=partition@10+20"]
    {
        let report = run(&format!("{edge} --lease {faults}"));
        assert_eq!(report.failed, 0);
        // The timeouts of two tiers and of the object of leases, and the origin.
        assert!(report.latency.max < 5_000_000, "{faults}: {} ms", report.latency.max / 1_000);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn whoever_follows_the_log_is_current_within_its_bound() {
    let edge = "--isolates=300 --places=30 --rate=2000 --keys=2000 --seconds=30 --purges=3";
    for tiers in ["", "cache,kv", "object --shards=8 --lease"] {
        let report = run(&format!("{edge} --log --tiers={tiers}"));
        let (without, with) = (run(&format!("{edge} --tiers={tiers}")).stale_for(1.0), report.stale_for(1.0));
        assert!(with < 6_000.0 && with < without / 3.0, "{with} ms with it, {without} ms without");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn objects_share_what_they_are_asked() {
    let edge = "--isolates=300 --places=30 --rate=2000 --keys=10000 --seconds=20 --warmup=20 --tiers=object";
    let [one, many] = ["--shards=1", "--shards=16"].map(|shards| run(&format!("{edge} {shards}")).busiest_store);
    assert!(one > 900, "one is asked {one} times a second, and can't serve more");
    assert!(many < one / 3, "of sixteen one is asked {many} times a second");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: scripts/test tiers runs it")]
fn the_edge_of_ten_thousand_isolates() {
    let report = run("--isolates=10000 --places=300 --rate=3000 --seconds=15 --tiers=cache,kv --purges=1");
    assert!(report.gets > 40_000);
    assert!(report.most_subrequests < 50, "a request on the free plan has 50");
}
