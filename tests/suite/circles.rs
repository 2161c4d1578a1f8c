//! Loads that wait for each other.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::{Batched, ManualClock};
use nearcache::{Cache, CallOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::futures::{Answer, Waiting, code, timed};
use crate::common::{Promised, poll_once, promised};

#[test]
fn a_loader_may_call_the_cache_but_not_for_its_own_key() {
    fn ask(
        cache: &Cache<u32, u32>,
        key: u32,
        inner: u32,
        yields: bool,
    ) -> impl Future<Output = Result<u32, LoadError>> + 'static {
        let cache = cache.clone();
        async move {
            let again = cache.clone();
            let load = move |_: LoadCtx<u32>| async move {
                let mut yielded = !yields;
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                again.insert(99, 99);
                again.get_with(inner, |_| async { 5 }).await.map(|n| n + 1)
            };
            cache.try_get_with(key, load).await
        }
    }
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(10);
    for yields in [false, true] {
        cache.clear();
        assert_eq!(futures::executor::block_on(ask(&cache, 1, 2, yields)).ok(), Some(6));
        let error = futures::executor::block_on(ask(&cache, 3, 3, yields)).expect_err("its own key");
        assert!(error.to_string().contains("asked the cache for the very key it is loading"), "{error}");
        assert_eq!(cache.get(&3), None);
    }
}

#[test]
fn two_loads_that_wait_for_each_other_are_told_so() {
    // The symptom: they blocked their thread in a mutex, and the one timer thread of the process with it.
    let (cache, _) = timed(1_000);
    let (open, gate) = promised::<()>();
    let ask = |mine, other, gate: Option<Promised<()>>| -> Waiting<Answer> {
        let (cache, again) = (cache.clone(), cache.clone());
        let load = move |_: LoadCtx<u32>| async move {
            if let Some(gate) = gate {
                gate.await;
            }
            again.try_get_with(other, |_| async { Ok::<_, String>(0) }).await
        };
        Box::pin(async move { cache.try_get_with(mine, load).await })
    };
    let (mut second, mut first) = (ask(2, 1, Some(gate)), ask(1, 2, None));
    assert!(poll_once(&mut second).is_none() && poll_once(&mut first).is_none());
    open.say(());
    let refused = poll_once(&mut second).expect("settled").expect_err("in a circle");
    let LoadError::Loader(cause) = refused else { panic!("{refused}") };
    assert!(matches!(cause.downcast_ref(), Some(LoadError::Recursive)), "{cause}");
    assert_eq!(code(poll_once(&mut first)), "ERR_LOADER");
    assert_eq!(cache.loads_in_flight(), 0);
}

#[test]
fn a_batch_that_asks_for_a_key_of_its_own_is_told_so() {
    // The symptom: it blocked its thread.
    let (cache, _) = timed(1_000);
    let itself: Rc<RefCell<Option<Batched<u32, u32>>>> = Rc::default();
    let again = itself.clone();
    let batched = cache.batched(move |keys: Vec<u32>, _: Vec<LoadCtx<u32>>| {
        let again = again.borrow().clone().expect("it is set");
        async move {
            // 1 wants 3, by a batch of its own, and 2 wants itself.
            let mut all = Vec::new();
            for key in keys {
                all.push(if key == 3 { Ok(3) } else { again.get(key % 2 + 2).await });
            }
            all
        }
    });
    *itself.borrow_mut() = Some(batched.clone());
    let results = futures::executor::block_on(batched.get_many([1, 2]));
    itself.borrow_mut().take();
    assert_eq!(results[0].as_ref().ok(), Some(&3));
    let Err(LoadError::Loader(cause)) = &results[1] else { panic!("{results:?}") };
    assert!(matches!(cause.downcast_ref(), Some(LoadError::Recursive)), "{cause}");
}

#[test]
fn a_load_that_took_an_older_value_at_its_soft_deadline_waits_for_no_load_any_more() {
    let clock = ManualClock::new();
    let builder = Cache::<u32, u32>::builder().stale_if_error(Ttl::Millis(1_000)).soft_timeout(Ttl::Millis(20));
    let cache = builder.clock(clock.clone()).build();
    cache.insert(2, 5);
    cache.expire(&2);
    let ((begin, begins), (end, ends)) = (promised::<()>(), promised::<()>());
    let inner = cache.clone();
    let asks_for_one = async move |_| {
        begins.await;
        inner.get_with(1, async |_| 0).await
    };
    let patient = CallOptions::new().soft_timeout(Ttl::Forever);
    let mut two = Box::pin(cache.try_get_with_options(2, patient, asks_for_one));
    assert!(poll_once(&mut two).is_none());
    let inner = cache.clone();
    let asks_for_two = async move |_| {
        let older = inner.get_with(2, async |_| 0).await;
        ends.await;
        older
    };
    let mut one = Box::pin(cache.try_get_with(1, asks_for_two));
    assert!(poll_once(&mut one).is_none());
    clock.advance(Duration::from_millis(20));
    assert!(poll_once(&mut one).is_none(), "it has the older value, and goes on");
    begin.say(());
    assert!(poll_once(&mut two).is_none(), "which may wait for it now");
    end.say(());
    assert_eq!(poll_once(&mut one).and_then(Result::ok), Some(5));
    assert_eq!(poll_once(&mut two).and_then(Result::ok), Some(5));
}
