//! An edge of many isolates in virtual time: `scripts/simulate --help` tells what can be asked.

#[allow(dead_code, reason = "the test uses its part")]
mod sim;
mod tables;

use std::process::ExitCode;

use sim::{Report, USAGE, parse};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", USAGE);
        return ExitCode::SUCCESS;
    }
    if let Some(tables) = arguments.first().and_then(|argument| argument.strip_prefix("--table=")) {
        return print_table(tables, &arguments[1..]);
    }
    if let Some(file) = arguments.first().and_then(|argument| argument.strip_prefix("--docs=")) {
        return renew_tables(file);
    }
    let as_json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    let scenario = match parse(&arguments) {
        Ok(scenario) => scenario,
        Err(error) => return failed(error),
    };
    let report = Report::of(scenario);
    if as_json {
        println!("{:#}", report.json())
    } else {
        report.print()
    }
    ended(report.violation_count)
}

/// A table of docs/scale.md.
fn print_table(name: &str, options: &[String]) -> ExitCode {
    tables::table(name, options).map_or_else(failed, |(rows, violations)| {
        println!("{rows}");
        ended(violations)
    })
}

/// All tables of a document.
fn renew_tables(file: &str) -> ExitCode {
    let document = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let made = document.and_then(|document| tables::renew(&document));
    let written = made.and_then(|(document, violations)| {
        std::fs::write(file, document).map_err(|error| format!("{file}: {error}")).map(|()| violations)
    });
    written.map_or_else(failed, ended)
}

fn ended(violations: u64) -> ExitCode {
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(error: String) -> ExitCode {
    eprintln!("simulate: {error}");
    ExitCode::from(2)
}
