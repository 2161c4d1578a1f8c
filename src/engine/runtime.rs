//! What the engine needs of the place it runs in.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};

use crate::time::Timestamp;

/// A clock, a sleeper, and a way for many to wait for one task.
pub trait Runtime: 'static {
    /// A task that many wait for. It ends when the task has ended or is lost for good; which of the two
    /// it was, the engine sees by what the task left behind.
    type Task: Future<Output = ()> + Clone + Unpin + 'static;

    /// Whether a shared task goes on when nobody waits for it. If not, it lives as long as somebody
    /// holds a [`Task`](Self::Task) of it.
    const RUNS_ALONE: bool;

    /// The present moment, rounded down.
    fn now(&self) -> Timestamp;

    /// A moment not before now, if that is cheaper to tell than now: enough to know that an entry which
    /// outlives it is alive.
    #[inline]
    fn upper_bound(&self) -> Timestamp {
        self.now()
    }

    /// A moment not after now, if that is cheaper to tell: enough to know that an entry is dead.
    #[inline]
    fn lower_bound(&self) -> Timestamp {
        self.now()
    }

    /// Ends after so many milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static;

    /// Makes a task that many can wait for. Does not poll it before it returns.
    fn share(&self, task: LocalBoxFuture<'static, ()>) -> Self::Task;

    /// Whether [`spawn`](Self::spawn) runs what it is given.
    fn can_spawn(&self) -> bool {
        false
    }

    /// Runs a future that nobody waits for; drops it where that can't be done.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        drop(task);
    }

    /// A random number, at least 0 and below 1. Asked for only when a value is stored with jitter or comes near
    /// its end with `refresh_ahead`. The default is `Math.random()` in wasm and SplitMix64 natively.
    fn random(&self) -> f64 {
        super::random::random()
    }
}

/// Any single-threaded executor: a task is driven by whoever waits for it.
///
/// Natively the clock is monotonic and timers come from `futures-timer`; in wasm they are `Date.now()` and
/// `setTimeout`. In a Cloudflare Worker, where one request may not wait for another's future, the
/// Worker's own runtime takes this one's place.
///
/// Background loads run by `wasm_bindgen_futures::spawn_local` in wasm, and natively by what the
/// [builder](super::Builder::spawner) is given; without that there are none.
#[derive(Clone)]
pub struct Local {
    clock: clock::Clock,
    spawner: Option<Spawner>,
}

pub(super) type Spawner = Rc<dyn Fn(LocalBoxFuture<'static, ()>)>;

impl Local {
    pub(super) fn set_spawner(&mut self, spawner: Spawner) {
        self.spawner = Some(spawner);
    }
}

impl Default for Local {
    fn default() -> Self {
        Self { clock: clock::Clock::start(), spawner: clock::spawner() }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("can_spawn", &self.can_spawn()).finish_non_exhaustive()
    }
}

impl Runtime for Local {
    type Task = Shared<LocalBoxFuture<'static, ()>>;

    const RUNS_ALONE: bool = false;

    #[inline]
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    #[inline]
    fn upper_bound(&self) -> Timestamp {
        self.clock.upper_bound()
    }

    #[inline]
    fn lower_bound(&self) -> Timestamp {
        self.clock.lower_bound()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        clock::sleep(millis)
    }

    fn share(&self, task: LocalBoxFuture<'static, ()>) -> Self::Task {
        task.shared()
    }

    fn can_spawn(&self) -> bool {
        self.spawner.is_some()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        if let Some(spawner) = &self.spawner {
            spawner(task);
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod clock {
    use std::time::{Duration, Instant};

    use crate::time::Timestamp;

    /// How far a coarse clock may lag behind, in milliseconds: the scheduler's tick, which is 16 at the
    /// most on the systems that Rust runs on, and a rounding at each end.
    const LAG: u64 = 18;

    /// Two clocks from the same moment: one exact, one that costs a fifth (it is the time of the last tick).
    #[derive(Clone, Copy, Debug)]
    pub struct Clock {
        exact: Instant,
        coarse: coarsetime::Instant,
    }

    impl Clock {
        pub fn start() -> Self {
            Self { exact: Instant::now(), coarse: coarsetime::Instant::now() }
        }

        #[inline]
        pub fn now(self) -> Timestamp {
            let elapsed = self.exact.elapsed();
            Timestamp::from_millis(elapsed.as_secs().saturating_mul(1_000) + u64::from(elapsed.subsec_millis()))
        }

        #[inline]
        pub fn upper_bound(self) -> Timestamp {
            Timestamp::from_millis(self.ticked() + LAG)
        }

        #[inline]
        pub fn lower_bound(self) -> Timestamp {
            Timestamp::from_millis(self.ticked().saturating_sub(LAG))
        }

        #[inline]
        fn ticked(self) -> u64 {
            coarsetime::Instant::now().duration_since(self.coarse).as_millis()
        }
    }

    /// There is no executor that all native programs have.
    pub fn spawner() -> Option<super::Spawner> {
        None
    }

    pub async fn sleep(millis: u64) {
        futures_timer::Delay::new(Duration::from_millis(millis)).await;
    }
}

#[cfg(target_family = "wasm")]
mod clock {
    use crate::engine::js_clock;
    use crate::time::Timestamp;

    #[derive(Clone, Copy, Debug)]
    pub struct Clock;

    impl Clock {
        pub fn start() -> Self {
            Self
        }

        pub fn now(self) -> Timestamp {
            js_clock::now()
        }

        pub fn upper_bound(self) -> Timestamp {
            js_clock::now()
        }

        pub fn lower_bound(self) -> Timestamp {
            js_clock::now()
        }
    }

    /// The host's own queue.
    pub fn spawner() -> Option<super::Spawner> {
        Some(std::rc::Rc::new(wasm_bindgen_futures::spawn_local))
    }

    pub use js_clock::sleep;
}
