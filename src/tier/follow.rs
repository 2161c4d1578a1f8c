//! What one isolate knows of the log of purges: when to look, what is new, and how far behind it may be.
//!
//! # What is promised
//!
//! While the log can be reached, no request is answered from memory with what was purged more than
//! [`FollowOptions::max_staleness`] before the request came. An isolate looks when it gets a request and its last look is older than half of that;
//! only where it is older than all of it does the request wait, one round trip, at most [`FollowOptions::timeout`]. Without requests
//! nobody looks. All requests share a look.
//!
//! Where the log can't be reached it is a choice: with [`Bound::Soft`] answers go on, and [`LogFollower::staleness`] grows; with
//! [`Bound::Hard`] the memory is cleared once in `max_staleness`, so that nothing in it is ever older than that.

use super::breaker::{Breaker, BreakerOptions};
use super::message::{Message, Purged};
use crate::time::Timestamp;

/// How a log is followed.
#[derive(Clone, Copy, Debug)]
pub struct FollowOptions {
    /// What was purged so long ago, in ms, is not handed out. Default: 5,000.
    pub max_staleness: u64,
    /// How long a look may take, in ms; at most `max_staleness` counts. Default: 1,000.
    pub timeout: u64,
    /// What holds where the log can't be reached. Default: [`Bound::Soft`].
    pub bound: Bound,
    /// By how much clocks may differ, in ms. Default: 500.
    pub clock_skew: u64,
    /// Whether there are tiers below the memory: then what was purged before this isolate began matters, too.
    pub below: bool,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self { max_staleness: 5_000, timeout: 1_000, bound: Bound::Soft, clock_skew: 500, below: false }
    }
}

/// What holds where the log can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Answers go on.
    Soft,
    /// What is in memory counts as purged.
    Hard,
}

/// What a request has to do before it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Ask the log. Its end is told by [`LogFollower::handle_page`] or [`LogFollower::handle_failure`].
    pub look: Option<Look>,
    /// Wait until the look that is under way has ended.
    pub wait: bool,
    /// Clear the memory.
    pub clear: bool,
}

/// What to ask the log for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The look's own number.
    pub number: u64,
    /// Messages after this one.
    pub after: u64,
    /// Of those only what came at this moment or later.
    pub since: Timestamp,
    /// For how long to wait, in ms.
    pub timeout: u64,
}

/// What the log answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// Which log it is: another one has lost all that the one before knew.
    pub epoch: String,
    /// The number of its last message.
    pub head: u64,
    /// Messages are gone that were asked for, the last of them of this moment.
    pub lost: Option<Timestamp>,
    /// Number, moment and message, in order; `None` for one that can't be read.
    pub records: Vec<(u64, Timestamp, Option<Message>)>,
}

/// What to do to the memory, and to what is believed of tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something was purged.
    Purge {
        /// What.
        purged: Purged,
        /// Whether it is stale only.
        soft: bool,
        /// When: what was loaded before is concerned.
        at: Timestamp,
    },
    /// It is not known what was purged: clear the memory. What lies in tiers and was loaded up to this moment may have been purged.
    Clear {
        /// The moment.
        until: Timestamp,
    },
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowFigures {
    /// Looks that were begun.
    pub looks: u64,
    /// Looks that failed, or took too long.
    pub failures: u64,
    /// Messages that were heeded.
    pub heard: u64,
    /// How often messages were lost.
    pub gaps: u64,
}

/// One isolate's reading of the log.
#[derive(Debug)]
pub struct LogFollower {
    options: FollowOptions,
    breaker: Breaker,
    epoch: Option<String>,
    seq: u64,
    since: Timestamp,
    /// All that the log had at this moment is heeded.
    current_at: Option<Timestamp>,
    /// The number of the last look.
    last: u64,
    /// The look under way, and when it began.
    looking: Option<(u64, Timestamp)>,
    figures: FollowFigures,
}

impl LogFollower {
    /// Of one that has not looked yet, and has nothing in memory.
    pub fn new(options: FollowOptions) -> Self {
        let timeout = options.timeout.min(options.max_staleness);
        let breaker = BreakerOptions { failures: 2, cooldown: options.max_staleness.max(1) };
        Self {
            options: FollowOptions { timeout, ..options },
            breaker: Breaker::new(breaker),
            epoch: None,
            seq: 0,
            since: Timestamp::default(),
            current_at: None,
            last: 0,
            looking: None,
            figures: FollowFigures::default(),
        }
    }

    /// A request came.
    pub fn poll(&mut self, now: Timestamp) -> Next {
        if self.current_at.is_none() && !self.options.below && self.last == 0 {
            // Nothing was loaded before.
            self.current_at = Some(now);
            self.since = Timestamp::from_millis(now.as_millis().saturating_sub(self.options.clock_skew));
        }
        // One that takes longer has lost its request.
        self.looking = self.looking.filter(|(_, began)| now.millis_since(*began) <= self.options.timeout);
        let staleness = self.staleness(now);
        let is_due = staleness.is_none_or(|millis| millis >= self.options.max_staleness / 2) || self.last == 0;
        let look = (is_due && self.looking.is_none() && self.breaker.admits(now, self.options.timeout))
            .then(|| self.begin(now));
        let exceeds = self.exceeds(now);
        let wait = exceeds && self.looking.is_some();
        Next { look, wait, clear: exceeds && !wait && self.give_up(now) }
    }

    fn begin(&mut self, now: Timestamp) -> Look {
        self.last += 1;
        self.looking = Some((self.last, now));
        self.figures.looks += 1;
        Look { number: self.last, after: self.seq, since: self.since, timeout: self.options.timeout }
    }

    /// The log has answered a look. One that has been given up says nothing any more.
    pub fn handle_page(&mut self, now: Timestamp, look: u64, page: Page) -> Vec<Told> {
        let Some((_, began)) = self.looking.filter(|(number, _)| *number == look) else { return Vec::new() };
        self.looking = None;
        self.breaker.succeeded(now);
        let is_other = self.epoch.as_ref().is_some_and(|epoch| *epoch != page.epoch);
        let mut told = Vec::new();
        if is_other || page.head < self.seq {
            self.figures.gaps += 1;
            told.push(Told::Clear { until: now });
        } else {
            if let Some(until) = page.lost {
                self.figures.gaps += 1;
                told.push(Told::Clear { until });
            }
            for (seq, at, message) in page.records {
                if seq > self.seq {
                    self.figures.heard += 1;
                    told.push(heed(at, message));
                }
            }
        }
        self.epoch = Some(page.epoch);
        self.seq = page.head;
        self.since = Timestamp::default();
        self.current_at = self.current_at.max(Some(began));
        told
    }

    /// A look failed, or took too long. Whether to clear the memory.
    pub fn handle_failure(&mut self, now: Timestamp, look: u64) -> bool {
        if self.looking.is_none_or(|(number, _)| number != look) {
            return false;
        }
        self.looking = None;
        self.figures.failures += 1;
        self.breaker.failed(now);
        self.exceeds(now) && self.give_up(now)
    }

    /// How far behind the memory may be, in ms. `None` before the first look, where tiers may have anything.
    pub fn staleness(&self, now: Timestamp) -> Option<u64> {
        self.current_at.map(|at| now.millis_since(at))
    }

    /// What happened so far.
    pub fn figures(&self) -> &FollowFigures {
        &self.figures
    }

    fn exceeds(&self, now: Timestamp) -> bool {
        self.staleness(now).is_none_or(|millis| millis > self.options.max_staleness)
    }

    /// Where the bound is hard: what is loaded from now on is as new as now.
    fn give_up(&mut self, now: Timestamp) -> bool {
        let clears = self.options.bound == Bound::Hard;
        if clears {
            self.current_at = Some(now);
        }
        clears
    }
}

fn heed(at: Timestamp, message: Option<Message>) -> Told {
    let Some(message) = message else { return Told::Clear { until: at } };
    Told::Purge { purged: message.purged(), soft: message.is_soft(), at }
}
