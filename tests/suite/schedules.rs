//! Every way in which a few who wait for one key are polled, dropped and forgotten: who is left is woken and answered, and
//! nothing of what went stays behind.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use nearcache::{Cache, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::futures::{Waiting, panics, quiet_panic};
use crate::common::{Flag, Virtual, poll_with};

/// Counts those that are alive.
struct Alive(Rc<Cell<i32>>);

impl Alive {
    fn new(count: &Rc<Cell<i32>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Clone for Alive {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Ready when it has been polled so many times, each of which it asks for.
fn yields(times: u32) -> impl Future<Output = ()> {
    let mut left = times;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

type Store = Cache<u32, Alive, Virtual<false>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Get,
    /// Its load panics at its second poll.
    Panics,
    Compute,
    Update,
    /// By a batch of its own window.
    Batch,
}

struct Asker {
    future: Option<Waiting<Result<(), LoadError>>>,
    flag: Arc<Flag>,
    waker: Waker,
}

impl Asker {
    fn new(
        cache: &Store,
        batched: &nearcache::engine::Batched<u32, Alive, Virtual<false>>,
        asks: Asks,
        alive: &Rc<Cell<i32>>,
    ) -> Self {
        let (cache, batched, loaded) = (cache.clone(), batched.clone(), Alive::new(alive));
        let future: Waiting<Result<(), LoadError>> = Box::pin(async move {
            match asks {
                Asks::Get => cache
                    .get_with(1, move |_| async move {
                        yields(2).await;
                        loaded
                    })
                    .await
                    .map(drop),
                Asks::Panics => {
                    let load = move |_: LoadCtx<Alive>| async move {
                        yields(1).await;
                        let _kept = loaded;
                        quiet_panic()
                    };
                    cache.get_with(1, load).await.map(drop)
                }
                Asks::Compute => {
                    let compute = async |_| {
                        yields(2).await;
                        Ok::<_, LoadError>(Some(loaded.clone()))
                    };
                    cache.compute(1, compute).await.map(drop)
                }
                Asks::Update => {
                    let write = move |_: LoadCtx<Alive>| async move {
                        yields(2).await;
                        Ok::<_, LoadError>(loaded)
                    };
                    cache.update(1, write).await.map(drop)
                }
                Asks::Batch => batched.get(1).await.map(drop),
            }
        });
        let (flag, waker) = Flag::up();
        Self { future: Some(future), flag, waker }
    }

    fn poll(&mut self) {
        let Some(mut future) = self.future.take() else { return };
        self.flag.take();
        // What panics is gone, as a task of an executor is.
        let mut ready = true;
        panics(|| ready = poll_with(&mut future, &self.waker).is_some());
        if !ready {
            self.future = Some(future);
        }
    }
}

const ASKERS: usize = 3;
/// To poll or to drop one of them; or, besides, to forget one.
const POLL_OR_DROP: u32 = 2 * ASKERS as u32;
const OR_FORGET: u32 = 3 * ASKERS as u32;

fn run(asked: [Asks; ASKERS], (actions, steps): (u32, u32), schedule: u32) {
    let runtime = Virtual::<false>::default();
    let alive = Rc::new(Cell::new(0));
    let cache: Store = Cache::builder().hard_timeout(Ttl::Millis(1_000)).runtime(runtime.clone()).build();
    let of_batch = alive.clone();
    let batched = cache.batched(move |keys: Vec<u32>, _| {
        let values: Vec<_> = keys.iter().map(|_| Ok::<_, LoadError>(Alive::new(&of_batch))).collect();
        Box::pin(async move {
            yields(2).await;
            values
        })
    });
    let mut askers = asked.map(|asks| Asker::new(&cache, &batched, asks, &alive));
    let forgotten = RefCell::new(Vec::new());
    let mut rest = schedule;
    for _ in 0..steps {
        let action = rest % actions;
        rest /= actions;
        let asker = &mut askers[action as usize % ASKERS];
        match action as usize / ASKERS {
            0 => asker.poll(),
            1 => asker.future = None,
            _ => forgotten.borrow_mut().extend(asker.future.take()),
        }
    }
    let forgot = !forgotten.borrow().is_empty();
    // Who was asked to be polled is polled; time goes on only when nobody is.
    let mut waited = 0;
    while askers.iter().any(|asker| asker.future.is_some()) {
        let woken: Vec<usize> =
            (0..ASKERS).filter(|at| askers[*at].future.is_some() && askers[*at].flag.take()).collect();
        woken.iter().for_each(|at| askers[*at].poll());
        if woken.is_empty() {
            waited += 1;
            assert!(waited < 20, "{asked:?} {schedule}: somebody hangs");
            // A batch's window, or the deadlines where somebody holds what the others wait for and is not polled.
            assert!(waited < 3 || forgot, "{asked:?} {schedule}: somebody was not woken");
            runtime.0.advance(if waited < 3 { 1 } else { 1_000 });
        }
    }
    runtime.0.advance(2_000_000);
    let mut last = Asker::new(&cache, &batched, Asks::Get, &alive);
    (0..10).for_each(|_| last.poll());
    assert!(last.future.is_none(), "{asked:?} {schedule}: the key is held");
    forgotten.borrow_mut().clear();
    cache.clear();
    assert_eq!(cache.loads_in_flight(), 0, "{asked:?} {schedule}");
    drop((askers, last, cache, batched));
    assert_eq!(alive.get(), 0, "{asked:?} {schedule}: something is kept");
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn however_those_who_wait_for_a_key_are_polled_dropped_and_forgotten_the_others_are_answered() {
    use Asks::*;
    let casts = [
        [Get, Get, Get],
        [Get, Panics, Get],
        [Compute, Compute, Get],
        [Update, Get, Compute],
        [Batch, Batch, Get],
        [Batch, Update, Panics],
    ];
    for asked in casts {
        for (actions, steps) in [(POLL_OR_DROP, 4), (OR_FORGET, 3)] {
            (0..actions.pow(steps)).for_each(|schedule| run(asked, (actions, steps), schedule));
        }
    }
}
