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
Usage: scripts/hitrate [--entries N,N,…] [--bytes N,N,…] TRACE…

Prints, for each trace and several sizes of cache, which part of the accesses each eviction policy hits, and
which part could be hit at all by one that knows the future (Belady's rule).

A trace is
  a text file    one access a line: a key without white space, or a key and the size of its value in bytes;
  NAME.u64       little-endian 64-bit keys, one after another; NAME.u64.xz the same, compressed (needs xz);
  -              text from standard input.

  --entries N,N,…   sizes, in entries. Else 1/200, 1/100, 1/20 and 1/10 of the different keys, at least 50
                    (and 1/4, where two of these are the same).
  --bytes N,N,…     sizes, in bytes; the trace must tell sizes. Else the same parts of all keys' bytes.
  --help            this text.

A trace that tells sizes is played twice: in caches bounded by entries, and in caches bounded by bytes. There the
ratio of hits is followed by the ratio of bytes that were hit; Belady's is then only a good guess at the best.";

const POLICIES: [(&str, EvictionPolicy); 2] = [("lru", EvictionPolicy::Lru), ("adaptive", EvictionPolicy::Adaptive)];

struct Options {
    entries: Vec<u64>,
    bytes: Vec<u64>,
    traces: Vec<String>,
}

/// A trace, and whether it tells sizes.
struct Reading {
    trace: Trace,
    sized: bool,
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
    let mut options = Options { entries: Vec::new(), bytes: Vec::new(), traces: Vec::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (argument.as_str(), None),
        };
        let sizes = match name {
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
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let mut shares = Vec::new();
    for name in &options.traces {
        let Reading { trace, sized } = read(name)?;
        if !sized && !options.bytes.is_empty() {
            return Err(format!("{name} tells no sizes, so --bytes means nothing"));
        }
        println!("{name}: {} accesses, {} keys", trace.accesses.len(), trace.keys());
        let or = |given: &Vec<u64>, all, least| if given.is_empty() { Trace::sizes(all, least) } else { given.clone() };
        let limits = or(&options.entries, trace.keys() as u64, 50).into_iter();
        let limits = limits.map(|entries| (entries, Limits::new(entries, u64::MAX, u64::MAX))).collect::<Vec<_>>();
        shares.push(table(&trace, "entries", &limits, false)?);
        if sized {
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

fn read(name: &str) -> Result<Reading, String> {
    let read = |result: std::io::Result<Vec<u8>>| result.map_err(|error| format!("cannot read {name}: {error}"));
    if name == "-" {
        let mut bytes = Vec::new();
        read(std::io::stdin().read_to_end(&mut bytes).map(|_| Vec::new()))?;
        return lines(name, &bytes);
    }
    let bytes = if name.ends_with(".xz") { unpacked(name)? } else { read(std::fs::read(name))? };
    if !name.trim_end_matches(".xz").ends_with(".u64") {
        return lines(name, &bytes);
    }
    let (keys, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || keys.is_empty() {
        return Err(format!("{name} has {} bytes, not some 64-bit numbers", bytes.len()));
    }
    Ok(Reading { trace: Trace::new(keys.iter().map(|key| u64::from_le_bytes(*key))), sized: false })
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

fn lines(name: &str, bytes: &[u8]) -> Result<Reading, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("{name} is no UTF-8 text: {error}"))?;
    let mut read = Reading { trace: Trace::default(), sized: false };
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| Err(format!("{name}, line {}: {what}", at + 1));
        let mut words = line.split_whitespace();
        let (key, size, more) = (words.next().unwrap_or_default(), words.next(), words.next());
        if more.is_some() {
            return wrong("more than a key and a size");
        }
        if read.trace.accesses.is_empty() {
            read.sized = size.is_some();
        } else if read.sized != size.is_some() {
            return wrong("either all lines tell a size or none does");
        }
        let size = match size.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(size)) => size,
            Some(Err(_)) => return wrong("the second word is no size, a number of bytes below 2^32"),
        };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        read.trace.add(hasher.finish(), size);
    }
    if read.trace.accesses.is_empty() {
        return Err(format!("{name} has no accesses"));
    }
    Ok(read)
}
