//! The next value from the present one. What it does in sequence stands in tests/contract/compute.json.

use std::time::Duration;

use futures::executor::block_on;
use futures::future::{join_all, pending};
use nearcache::engine::ManualClock;
use nearcache::{Cache, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{poll_once, promised};

async fn add(count: Option<u32>) -> Result<Option<u32>, LoadError> {
    let mut polled = false;
    std::future::poll_fn(|cx| match std::mem::replace(&mut polled, true) {
        true => std::task::Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
    Ok(Some(count.unwrap_or(0) + 1))
}

#[test]
fn a_counter_that_many_add_to_at_once_loses_none_of_them() {
    let cache: Cache<&str, u32> = Cache::new_with_max_entries(10);
    let counts = block_on(join_all((0..20).map(|_| cache.compute("key", add))));
    let counts: Vec<_> = counts.into_iter().map(|count| count.ok().flatten()).collect();
    assert_eq!(counts, (1..=20).map(Some).collect::<Vec<_>>());
    assert_eq!((cache.get("key"), cache.len()), (Some(20), 1));
}

#[test]
fn no_more_than_1000_wait_for_one_key_and_another_keys_go_on() {
    let cache: Cache<&str, u32> = Cache::new_with_max_entries(10);
    let never = async |_: Option<u32>| pending::<Result<Option<u32>, LoadError>>().await;
    let mut waiting: Vec<_> = (0..=1_000).map(|_| Box::pin(cache.compute("key", never))).collect();
    assert!(waiting.iter_mut().all(|one| poll_once(one).is_none()));
    let mut refused = Box::pin(cache.compute("key", add));
    let Some(Err(error)) = poll_once(&mut refused) else { panic!("it waits") };
    assert!(matches!(error, LoadError::ComputeQueueFull { max_waiting: 1_000 }), "{error}");
    assert_eq!(error.code(), "ERR_QUEUE_FULL");
    assert_eq!(block_on(cache.compute("other", add)).ok(), Some(Some(1)));
    drop(waiting);
    assert_eq!(block_on(cache.compute("key", add)).ok(), Some(Some(1)), "nobody is before it any more");
}

#[test]
fn who_lost_the_turn_at_its_deadline_has_computed_nothing() {
    // The symptom: both of two increments said that they had counted to 1.
    let clock = ManualClock::new();
    let cache: Cache<&str, u32> =
        Cache::builder().hard_timeout(Duration::from_millis(100)).clock(clock.clone()).build();
    let adding = || {
        let (go, gate) = promised::<()>();
        let compute = async move |count: Option<u32>| {
            gate.await;
            Ok::<_, LoadError>(Some(count.unwrap_or(0) + 1))
        };
        (go, Box::pin(cache.compute("key", compute)))
    };
    let ((go, mut late), (then, mut next)) = (adding(), adding());
    assert!(poll_once(&mut late).is_none());
    clock.advance(Duration::from_millis(50));
    assert!(poll_once(&mut next).is_none());
    clock.advance(Duration::from_millis(50));
    // The executor comes to the second first.
    assert!(poll_once(&mut next).is_none());
    go.say(());
    let Some(Err(error)) = poll_once(&mut late) else { panic!("it says that it has counted") };
    assert!(matches!(error, LoadError::TimedOut { after_millis: 100 }), "{error}");
    then.say(());
    assert_eq!(poll_once(&mut next).and_then(Result::ok), Some(Some(1)));
    assert_eq!(cache.get("key"), Some(1));
}
