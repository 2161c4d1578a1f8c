//! An edge of many isolates in virtual time: `scripts/simulate --help` tells what can be asked.

mod calls;
mod figures;
mod isolate;
mod leases;
mod loads;
mod map;
mod price;
mod purges;
#[path = "../common/random.rs"]
mod random;
mod report;
mod scenario;
mod slab;
mod stores;
mod traffic;
mod truth;
mod world;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", scenario::USAGE);
        return ExitCode::SUCCESS;
    }
    let as_json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    let scenario = match scenario::parse(&arguments) {
        Ok(scenario) => scenario,
        Err(error) => {
            eprintln!("simulate: {error}");
            return ExitCode::from(2);
        }
    };
    let report = Report::of(scenario);
    if as_json { println!("{:#}", report.json()) } else { report.print() }
    if report.violation_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
