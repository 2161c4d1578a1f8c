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
    let as_json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    let scenario = match parse(&arguments) {
        Ok(scenario) => scenario,
        Err(error) => {
            eprintln!("simulate: {error}");
            return ExitCode::from(2);
        }
    };
    let report = Report::of(scenario);
    if as_json {
        println!("{:#}", report.json())
    } else {
        report.print()
    }
    if report.violation_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A table of docs/scale.md.
fn print_table(name: &str, options: &[String]) -> ExitCode {
    match tables::table(name, options) {
        Ok((rows, violations)) => {
            println!("{rows}");
            if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::from(2)
        }
    }
}
