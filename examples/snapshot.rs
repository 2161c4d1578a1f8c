//! A restart that starts warm: loads the snapshot in a file if there is one, fills the cache, and saves it again, beside the file and
//! then in its place. `cargo run --release --features snapshot --example snapshot -- FILE [ENTRIES]`

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind};
use std::time::{Duration, Instant};

use nearcache::{Cache, SnapshotOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("wants a file")?;
    let count: u64 = arguments.next().map_or(Ok(1_000), |count| count.parse())?;
    let cache: Cache<String, (u64, String)> =
        Cache::builder().max_entries(count).time_to_live(Duration::from_secs(3_600)).build();
    let options = SnapshotOptions::new().schema("products 1");

    let began = Instant::now();
    match File::open(&file) {
        Ok(found) => match cache.load_snapshot(&options, BufReader::new(found)) {
            Ok(loaded) => println!("{} entries after {} ms", loaded.entries, began.elapsed().as_millis()),
            // A snapshot that is refused is no reason not to start.
            Err(refused) => println!("cold: {refused}"),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => println!("cold: no snapshot yet"),
        Err(error) => return Err(error.into()),
    }
    let mut loads = 0;
    for n in 0..count {
        let key = format!("/products/{n}?lang=en");
        if cache.get(&key).is_none() {
            cache.insert(key, (n, format!("Product {n}")));
            loads += 1;
        }
    }
    println!("{loads} loads");

    let began = Instant::now();
    let beside = format!("{file}.{}.new", std::process::id());
    let new = File::create(&beside)?;
    let saved = cache.save_snapshot(&options, BufWriter::new(&new))?;
    new.sync_all()?;
    std::fs::rename(&beside, &file)?;
    println!("saved {} entries, {} bytes, in {} ms", saved.entries, saved.bytes, began.elapsed().as_millis());
    Ok(())
}
