//! Reads cases of the contract, one a line, and writes what came of each step: by the crate's engine, and by the bare
//! machine, which says what the core decides.

mod bare;
mod engine;
#[allow(dead_code, reason = "it compares nothing")]
mod script;
mod world;

use std::io::{BufRead, Write, stdin, stdout};

use serde_json::{Value as Json, json};

fn main() {
    for line in stdin().lock().lines() {
        let line = line.expect("standard input can be read");
        let case: Json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let (engine, refused) = match case.get("mode").is_some() {
            true => script::run::<engine::Detached>(&case),
            false => script::run::<engine::Together>(&case),
        };
        let (bare, _) = script::run::<bare::Bare>(&case);
        println!("{}", json!({ "engine": engine, "bare": bare, "refused": refused }));
        stdout().flush().expect("standard output can be written");
    }
}
