//! The clocks of the `Local` runtime: the platform's, and one that a test moves.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::time::{Timestamp, Ttl};

pub(super) use platform::spawner;

/// Runs a task by itself.
pub(super) type Spawner = Rc<dyn Fn(LocalBoxFuture<'static, ()>)>;

/// A clock that stands until it is told to move: for tests of what time does, without sleeping. Clones are the same
/// clock.
///
/// A cache with such a [`clock`](super::Builder::clock) takes it for everything: for lifetimes and windows, and for every
/// deadline, batch window and interval, which end in the [`advance`](Self::advance) that reaches them and in no other
/// moment. So a load that never ends times out only when the clock is moved that far.
///
/// ```
/// use nearcache::{Cache, engine::ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache: Cache<&str, u32> = Cache::builder().time_to_live(Duration::from_secs(60)).clock(clock.clone()).build();
/// cache.insert("key", 1);
/// clock.advance(Duration::from_millis(59_999));
/// assert_eq!(cache.get("key"), Some(1));
/// clock.advance(Duration::from_millis(1));
/// assert_eq!(cache.get("key"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    state: Rc<ManualState>,
}

#[derive(Debug, Default)]
struct ManualState {
    now: Cell<u64>,
    sleepers: RefCell<Vec<(u64, Waker)>>,
}

impl ManualClock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on by so much, in whole milliseconds, and wakes what waits for a moment up to then.
    pub fn advance(&self, by: Duration) {
        let Ttl::Millis(millis) = by.into() else { return };
        let now = self.state.now.get().saturating_add(millis);
        self.state.now.set(now);
        let (due, rest) = self.state.sleepers.take().into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= now);
        *self.state.sleepers.borrow_mut() = rest;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The moment that it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.state.now.get())
    }
}

pub(super) struct ManualSleep {
    clock: ManualClock,
    until: u64,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ManualState { now, sleepers } = &*self.clock.state;
        if now.get() >= self.until {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut sleepers = sleepers.borrow_mut();
        if !sleepers.iter().any(|(at, known)| *at == self.until && known.will_wake(&waker)) {
            sleepers.push((self.until, waker));
        }
        Poll::Pending
    }
}

/// The time of day, in milliseconds since 1970.
pub(crate) fn wall() -> Timestamp {
    #[cfg(not(target_family = "wasm"))]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    #[cfg(target_family = "wasm")]
    let now = super::js_clock::now().as_millis();
    Timestamp::from_millis(now)
}

#[derive(Clone)]
pub(super) enum Clock {
    Platform(platform::Clock, Passed),
    Manual(ManualClock),
}

impl Clock {
    pub fn start() -> Self {
        Self::Platform(platform::Clock::start(), Passed::default())
    }

    #[inline]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Platform(clock, _) => clock.now(),
            Self::Manual(clock) => clock.now(),
        }
    }

    #[inline]
    pub fn upper_bound(&self) -> Timestamp {
        match self {
            Self::Platform(clock, _) => clock.upper_bound(),
            Self::Manual(clock) => clock.now(),
        }
    }

    #[inline]
    pub fn lower_bound(&self) -> Timestamp {
        match self {
            Self::Platform(clock, _) => clock.lower_bound(),
            Self::Manual(clock) => clock.now(),
        }
    }

    /// As [`lower_bound`](Self::lower_bound), read at one call of 16 at least.
    #[inline]
    pub fn passed_moment(&self) -> Timestamp {
        match self {
            Self::Platform(clock, passed) => passed.moment(|| clock.lower_bound()),
            Self::Manual(clock) => clock.now(),
        }
    }

    pub fn sleep(&self, millis: u64) -> Sleep {
        match self {
            Self::Platform(..) => Sleep::Platform(platform::sleep(millis.min(LONGEST_SLEEP))),
            Self::Manual(clock) => {
                let until = clock.state.now.get().saturating_add(millis);
                Sleep::Manual(ManualSleep { clock: clock.clone(), until })
            }
        }
    }
}

/// A reading that serves some calls.
#[derive(Clone, Default)]
pub(super) struct Passed {
    moment: Cell<Timestamp>,
    calls: Cell<u32>,
}

impl Passed {
    const CALLS: u32 = 16;

    #[inline]
    fn moment(&self, read: impl FnOnce() -> Timestamp) -> Timestamp {
        let calls = self.calls.get();
        self.calls.set(calls.wrapping_add(1));
        if calls.is_multiple_of(Self::CALLS) {
            self.moment.set(read());
        }
        self.moment.get()
    }
}

/// Ends after a time.
pub(super) enum Sleep {
    Platform(platform::Sleep),
    Manual(ManualSleep),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Platform(sleep) => Pin::new(sleep).poll(cx),
            Self::Manual(sleep) => Pin::new(sleep).poll(cx),
        }
    }
}

/// In milliseconds: 34 years. Timers count from the present moment, and not all can count further than some centuries.
const LONGEST_SLEEP: u64 = 1 << 40;

#[cfg(not(target_family = "wasm"))]
mod platform {
    use std::time::Duration;

    pub use super::readings::Clock;

    /// There is no executor that all native programs have.
    pub fn spawner() -> Option<super::Spawner> {
        None
    }

    pub type Sleep = futures_timer::Delay;

    pub fn sleep(millis: u64) -> Sleep {
        futures_timer::Delay::new(Duration::from_millis(millis))
    }
}

/// Linux has two readings of one clock: the exact time, and at a fifth of the price what it was when the kernel last brought it
/// up to date.
///
/// The second is never ahead of the first: it is a copy of it from before. And it lags by a timer tick at the most, 1 to 10 ms,
/// or, where the core that keeps the time is held up (as when a host takes it away from a virtual machine), by five ticks,
/// after which another core sees to it (`tick_sched_do_timer`, since Linux 5.17). So where a value ends later than `LAG` after
/// the cheap reading, it ends after the exact one. Nearer to its end, and where it seems to be over, the exact one decides.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod readings {
    use rustix::time::{ClockId, clock_gettime};

    use crate::time::Timestamp;

    /// In milliseconds: twice what five of the longest ticks take.
    const LAG: u64 = 100;

    #[derive(Clone, Copy, Debug)]
    pub struct Clock;

    impl Clock {
        pub fn start() -> Self {
            Self
        }

        #[inline]
        pub fn now(self) -> Timestamp {
            Timestamp::from_millis(millis(ClockId::Monotonic))
        }

        #[inline]
        pub fn upper_bound(self) -> Timestamp {
            Timestamp::from_millis(millis(ClockId::MonotonicCoarse) + LAG)
        }

        #[inline]
        pub fn lower_bound(self) -> Timestamp {
            Timestamp::from_millis(millis(ClockId::MonotonicCoarse))
        }
    }

    /// Rounded down: so are both, and their order holds.
    #[inline]
    fn millis(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        // It shows how long the system has been up: years, of which 32 bits hold 136. So nothing overflows.
        u64::from(time.tv_sec as u32) * 1_000 + u64::from(time.tv_nsec as u32 / 1_000_000)
    }
}

/// Elsewhere the cheap clocks are others, which do not keep step with the exact one (macOS' goes on while it sleeps, Windows'
/// drifts), and bound nothing.
#[cfg(not(any(target_os = "linux", target_os = "android", target_family = "wasm")))]
mod readings {
    use std::time::Instant;

    use crate::time::Timestamp;

    #[derive(Clone, Copy, Debug)]
    pub struct Clock {
        start: Instant,
    }

    impl Clock {
        pub fn start() -> Self {
            Self { start: Instant::now() }
        }

        #[inline]
        pub fn now(self) -> Timestamp {
            let elapsed = self.start.elapsed();
            Timestamp::from_millis(elapsed.as_secs().saturating_mul(1_000) + u64::from(elapsed.subsec_millis()))
        }

        #[inline]
        pub fn upper_bound(self) -> Timestamp {
            self.now()
        }

        #[inline]
        pub fn lower_bound(self) -> Timestamp {
            self.now()
        }
    }
}

#[cfg(target_family = "wasm")]
mod platform {
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

    pub type Sleep = futures_util::future::LocalBoxFuture<'static, ()>;

    pub fn sleep(millis: u64) -> Sleep {
        Box::pin(js_clock::sleep(millis))
    }
}
