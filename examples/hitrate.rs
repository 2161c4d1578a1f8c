//! Which eviction policy suits a log of keys? `scripts/hitrate --help` tells how to ask.

#[path = "../tests/common/hits.rs"]
mod hits;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

use hits::{Ratio, Trace, belady, hit_ratio};
use nearcache::core::EvictionPolicy;
use nearcache::options::Limits;

const USAGE: &str = "\
Usage: scripts/hitrate [--sizes] [--entries N,N,…] [--bytes N,N,…] TRACE…

Prints, for each trace and several sizes of cache, which part of the accesses each eviction policy hits, and
which part could be hit at all by one that knows the future (Belady's rule).

A trace is
  a text file    one access a line, which is the key, whatever it consists of; empty lines are none;
  NAME.u64       little-endian 64-bit keys, one after another; NAME.u64.xz the same, compressed (needs xz);
  -              text from standard input.

  --sizes           the last word of each line is no part of the key but the size of its value in bytes. A hit of a
                    key whose size has changed gives its entry the new size.
  --entries N,N,…   sizes, in entries. Else 1/200, 1/100, 1/20 and 1/10 of the different keys, at least 50
                    (and 1/4, where two of these are the same).
  --bytes N,N,…     sizes, in bytes; needs --sizes. Else the same parts of all keys' bytes, each at its greatest.
  --help            this text.

With --sizes a trace is played twice: in caches bounded by entries, and in caches bounded by bytes. There the
ratio of hits is followed by the ratio of bytes that were hit; Belady's is then only a good guess at the best.";

const POLICIES: [(&str, EvictionPolicy); 2] = [("lru", EvictionPolicy::Lru), ("adaptive", EvictionPolicy::Adaptive)];

struct Options {
    sized: bool,
    entries: Vec<u64>,
    bytes: Vec<u64>,
    traces: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hitrate: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options { sized: false, entries: Vec::new(), bytes: Vec::new(), traces: Vec::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (argument.as_str(), None),
        };
        let sizes = match name {
            "--sizes" if value.is_none() => {
                options.sized = true;
                continue;
            }
            "--entries" => &mut options.entries,
            "--bytes" => &mut options.bytes,
            name if name.starts_with('-') && name != "-" => {
                return Err(format!("there is no option '{name}'; --help tells which there are"));
            }
            _ => {
                options.traces.push(argument.clone());
                continue;
            }
        };
        let value = value.or_else(|| arguments.next().map(String::as_str));
        for size in value.ok_or(format!("{name} needs sizes, such as {name} 1000,10000"))?.split(',') {
            match size.parse() {
                Ok(size) if size > 0 => sizes.push(size),
                _ => return Err(format!("{name}: '{size}' is no number above 0")),
            }
        }
    }
    if options.traces.is_empty() {
        return Err("no trace is named; --help tells what one is".to_owned());
    }
    if !options.sized && !options.bytes.is_empty() {
        return Err("--bytes needs --sizes, and traces that tell them".to_owned());
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let mut shares = Vec::new();
    for name in &options.traces {
        let trace = read(name, options.sized)?;
        println!("{name}: {} accesses, {} keys", trace.accesses.len(), trace.keys());
        let or = |given: &Vec<u64>, all, least| if given.is_empty() { Trace::sizes(all, least) } else { given.clone() };
        let limits = or(&options.entries, trace.keys() as u64, 50).into_iter();
        let limits = limits.map(|entries| (entries, Limits::new(entries, u64::MAX, u64::MAX))).collect::<Vec<_>>();
        shares.push(table(&trace, "entries", &limits, false)?);
        if options.sized {
            let limits = or(&options.bytes, trace.bytes(), 1).into_iter();
            let limits = limits.map(|bytes| (bytes, Limits::new(u64::MAX, bytes, u64::MAX))).collect::<Vec<_>>();
            table(&trace, "bytes", &limits, true)?;
        }
    }
    if shares.len() > 1 {
        let mean = |at: usize| shares.iter().map(|share| share[at]).sum::<f64>() / shares.len() as f64;
        let means = POLICIES.iter().enumerate().map(|(at, (name, _))| format!("{name} {:.3}", mean(at)));
        say(&format!(
            "share of Belady's, by entries, mean of {} traces: {}",
            shares.len(),
            means.collect::<Vec<_>>().join(", ")
        ))?;
    }
    Ok(())
}

/// Prints a table, and returns each policy's mean share of what Belady's rule hits.
fn table(trace: &Trace, unit: &str, limits: &[(u64, Limits)], by_bytes: bool) -> Result<[f64; 2], String> {
    let cell = |ratio: Ratio| match by_bytes {
        true => format!("{:.1} / {:.1}", ratio.count * 100.0, ratio.bytes * 100.0),
        false => format!("{:.1}", ratio.count * 100.0),
    };
    let mut header = format!("{unit:>14} {:>13}", "Belady");
    for (name, _) in POLICIES {
        header += &format!(" {name:>13}");
    }
    say(&header)?;
    let mut shares = [0.0; 2];
    for (size, limits) in limits {
        let best = belady(trace, *limits);
        let mut line = format!("{size:>14} {:>13}", cell(best));
        for (share, (_, policy)) in shares.iter_mut().zip(POLICIES) {
            let ratio = hit_ratio(trace, policy, *limits);
            // What nobody can hit everybody hits.
            *share += if best.count > 0.0 { ratio.count / best.count } else { 1.0 };
            line += &format!(" {:>13}", cell(ratio));
        }
        say(&line)?;
    }
    let shares = shares.map(|share| share / limits.len().max(1) as f64);
    let mut line = format!("{:>28}", "mean share of Belady's");
    for share in shares {
        line += &format!(" {share:>13.3}");
    }
    say(&line)?;
    Ok(shares)
}

/// Prints a line. Who reads no further has seen enough: that is no error.
fn say(line: &str) -> Result<(), String> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|error| format!("cannot print: {error}")),
    }
}

fn read(name: &str, sized: bool) -> Result<Trace, String> {
    let read = |result: std::io::Result<Vec<u8>>| result.map_err(|error| format!("cannot read {name}: {error}"));
    if name == "-" {
        let mut bytes = Vec::new();
        read(std::io::stdin().read_to_end(&mut bytes).map(|_| Vec::new()))?;
        return lines(name, &bytes, sized);
    }
    let bytes = if name.ends_with(".xz") { unpacked(name)? } else { read(std::fs::read(name))? };
    if !name.trim_end_matches(".xz").ends_with(".u64") {
        return lines(name, &bytes, sized);
    }
    if sized {
        return Err(format!("{name} tells no sizes"));
    }
    let (keys, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || keys.is_empty() {
        return Err(format!("{name} has {} bytes, not some 64-bit numbers", bytes.len()));
    }
    Ok(Trace::new(keys.iter().map(|key| u64::from_le_bytes(*key))))
}

fn unpacked(name: &str) -> Result<Vec<u8>, String> {
    std::fs::metadata(name).map_err(|error| format!("cannot read {name}: {error}"))?;
    let output = Command::new("xz").args(["-dc", "--", name]).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("cannot run xz, which unpacks {name}: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(output.stdout)
}

/// Keys may be of any bytes, as logs have them.
fn lines(name: &str, bytes: &[u8], sized: bool) -> Result<Trace, String> {
    let mut trace = Trace::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate() {
        if line.is_empty() {
            continue;
        }
        let (key, size) = if sized { sized_key(line) } else { Some((line, 1)) }.ok_or_else(|| {
            let line = String::from_utf8_lossy(line);
            format!("{name}, line {}: '{line}' is no key and, as its last word, a number of bytes below 2^32", at + 1)
        })?;
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        trace.add(hasher.finish(), size);
    }
    if trace.accesses.is_empty() {
        return Err(format!("{name} has no accesses"));
    }
    Ok(trace)
}

fn sized_key(line: &[u8]) -> Option<(&[u8], u32)> {
    let end = line.iter().rposition(u8::is_ascii_whitespace)?;
    let (key, size) = line.split_at(end);
    Some((key.trim_ascii_end(), std::str::from_utf8(size).ok()?.trim_ascii().parse().ok()?))
}
