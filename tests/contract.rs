//! The contract of both faces: what `tests/contract/*.json` says (README there) is what happens. Here by the bare
//! machine, and by the crate's engine.

#[path = "contract/bare/mod.rs"]
mod bare;
#[path = "contract/engine.rs"]
mod engine;
#[path = "contract/script.rs"]
mod script;
#[path = "contract/world.rs"]
mod world;

use bare::Bare;
use engine::{Detached, Together};
use script::{difference, list, run, text};
use serde_json::Value as Json;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Each file of the folder; a native test sees that none is left out.
const FILES: &[(&str, &str)] = &[
    ("batches.json", include_str!("contract/batches.json")),
    ("bounds.json", include_str!("contract/bounds.json")),
    ("circles.json", include_str!("contract/circles.json")),
    ("compute.json", include_str!("contract/compute.json")),
    ("failures.json", include_str!("contract/failures.json")),
    ("hooks.json", include_str!("contract/hooks.json")),
    ("idle.json", include_str!("contract/idle.json")),
    ("info.json", include_str!("contract/info.json")),
    ("keep-fresh.json", include_str!("contract/keep-fresh.json")),
    ("lifetimes.json", include_str!("contract/lifetimes.json")),
    ("lookups.json", include_str!("contract/lookups.json")),
    ("namespaces.json", include_str!("contract/namespaces.json")),
    ("purges.json", include_str!("contract/purges.json")),
    ("queue.json", include_str!("contract/queue.json")),
    ("requests.json", include_str!("contract/requests.json")),
    ("retries.json", include_str!("contract/retries.json")),
    ("sharing.json", include_str!("contract/sharing.json")),
    ("stale.json", include_str!("contract/stale.json")),
    ("timely.json", include_str!("contract/timely.json")),
    ("updates.json", include_str!("contract/updates.json")),
    ("validate.json", include_str!("contract/validate.json")),
];

fn cases() -> impl Iterator<Item = (String, Json)> {
    FILES.iter().flat_map(|(file, text)| {
        let cases: Vec<Json> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        cases.into_iter().map(|case| ((*file).to_owned(), case))
    })
}

/// Runs every case and tells of all that differ, and loudly of those that this face can't run. What it `lacks` it may refuse.
fn hold_to_the_contract(face: &str, lacks: &[&str], run: impl Fn(&Json) -> (Vec<Json>, Option<String>)) {
    let (mut passed, mut differ, mut skipped) = (0, Vec::new(), Vec::new());
    let may_refuse = |why: &str| lacks.iter().any(|lack| why.ends_with(&format!(" has no {lack}")));
    for (file, case) in cases() {
        let title = format!("{file}: {}", text(&case, "title"));
        if let Some(only) = case.get("only").filter(|only| **only != "rust") {
            skipped.push(format!("{title}: for {only} only: {}", text(&case, "why")));
            continue;
        }
        let (lines, refused) = run(&case);
        match (difference(&case, &lines), refused) {
            (Some(difference), _) => differ.push(format!("{title}\n  {difference}")),
            (None, Some(why)) if may_refuse(&why) => skipped.push(format!("{title}: {why}")),
            (None, Some(why)) => differ.push(format!("{title}\n  refused: {why}")),
            (None, None) => passed += 1,
        }
    }
    aloud(&format!("{face}: {passed} cases of the contract hold"));
    skipped.iter().for_each(|case| aloud(&format!("{face}: NOT RUN: {case}")));
    assert!(differ.is_empty(), "{face}: {} cases differ\n\n{}\n", differ.len(), differ.join("\n\n"));
}

/// Says it also where the test passes, whose printed lines its runner keeps to itself.
fn aloud(line: &str) {
    #[cfg(not(target_family = "wasm"))]
    drop(std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes()));
    #[cfg(target_family = "wasm")]
    println!("{line}");
}

#[test]
fn the_machine_keeps_the_contract() {
    let lacks = ["compute", "hooks that call", "keepFresh", "getAllPresent", "keys", "pop"];
    hold_to_the_contract("the bare machine", &lacks, run::<Bare>);
}

#[test]
fn the_engine_keeps_the_contract() {
    hold_to_the_contract("the engine", &[], |case| match case.get("mode").is_some() {
        true => run::<Detached>(case),
        false => run::<Together>(case),
    });
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn no_file_of_the_contract_is_left_out() {
    let folder =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract")).expect("the folder is there");
    let mut found: Vec<String> = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    found.retain(|name| name.ends_with(".json"));
    found.sort();
    assert_eq!(found, FILES.iter().map(|(file, _)| (*file).to_owned()).collect::<Vec<_>>());
}

#[test]
fn every_case_says_why_and_has_a_title_of_its_own() {
    let mut titles: Vec<String> = cases().map(|(_, case)| text(&case, "title").to_owned()).collect();
    let all = titles.len();
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), all, "two cases of one title");
    assert!(cases().all(|(_, case)| !text(&case, "why").is_empty() && !list(&case, "steps").is_empty()));
}
