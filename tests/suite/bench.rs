//! A cache of some keys whose loads are settled by hand.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use nearcache::{Cache, CallOptions, LoadCtx, LoadError};

use crate::common::{Promiser, Virtual, poll_once, promised};

pub type Answer = Result<u32, LoadError>;

pub type Waiting = Pin<Box<dyn Future<Output = Answer>>>;

pub type Load = Result<u32, &'static str>;

/// A cache whose loads are settled by hand.
pub struct Bench<const ALONE: bool> {
    pub cache: Cache<&'static str, u32, Virtual<ALONE>>,
    pub world: Virtual<ALONE>,
    pub loads: Rc<RefCell<Vec<Promiser<Load>>>>,
}

impl<const ALONE: bool> Bench<ALONE> {
    pub fn new() -> Self {
        let world = Virtual::default();
        let cache = Cache::builder().runtime(world.clone()).build();
        Self { cache, world, loads: Rc::default() }
    }

    /// Asks, polled once.
    pub fn ask_with(
        &self,
        key: &'static str,
        options: CallOptions,
        prepare: impl FnOnce(&LoadCtx<u32>) + 'static,
    ) -> Waiting {
        let (cache, loads) = (self.cache.clone(), self.loads.clone());
        let mut waiting: Waiting = Box::pin(async move {
            let load = move |ctx: LoadCtx<u32>| {
                prepare(&ctx);
                let (promiser, promise) = promised();
                loads.borrow_mut().push(promiser);
                promise
            };
            cache.try_get_with_options(key, options, load).await
        });
        assert!(poll_once(&mut waiting).is_none(), "nothing is there yet");
        self.world.0.run_tasks();
        waiting
    }

    pub fn ask(&self, key: &'static str) -> Waiting {
        self.ask_with(key, CallOptions::default(), |_| {})
    }

    pub fn settle(&self, load: usize, result: Load) {
        self.loads.borrow()[load].say(result);
        self.world.0.run_tasks();
    }

    pub fn loads(&self) -> usize {
        self.loads.borrow().len()
    }
}

pub fn value(waiting: &mut Waiting) -> Option<u32> {
    poll_once(waiting).map(|result| result.expect("a value"))
}

pub fn error(waiting: &mut Waiting) -> String {
    poll_once(waiting).expect("settled").expect_err("an error").to_string()
}
