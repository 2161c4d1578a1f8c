//! A cache of one key whose loads are settled by hand, in a world that runs things in the background.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use nearcache::{Builder, Cache, CallOptions, Details, LoadCtx, LoadError, Status, Ttl};

use crate::common::{Promiser, Random, Virtual, poll_once, promised};

pub type Answer = Result<Details<u32>, LoadError>;

pub type Waiting = Pin<Box<dyn Future<Output = Answer>>>;

pub type Load = Result<u32, &'static str>;

/// A cache whose loads are settled by hand, in a world that runs things in the background.
pub struct Bench<const ALONE: bool> {
    pub cache: Cache<&'static str, u32, Virtual<ALONE>>,
    pub world: Virtual<ALONE>,
    pub loads: Rc<RefCell<Vec<Promiser<Load>>>>,
    pub stale: Rc<Cell<Option<u32>>>,
}

impl<const ALONE: bool> Bench<ALONE> {
    /// Values live for 100 ms, unless `build` says otherwise.
    pub fn new(build: impl FnOnce(Builder<&'static str, u32>) -> Builder<&'static str, u32>) -> Self {
        let world = Virtual::default();
        world.0.spawns.set(true);
        let builder = build(Cache::builder().time_to_live(Ttl::Millis(100)));
        let cache = builder.runtime(world.clone()).build();
        Self { cache, world, loads: Rc::default(), stale: Rc::default() }
    }

    pub fn begin(&self, options: CallOptions) -> Waiting {
        let (cache, loads, stale) = (self.cache.clone(), self.loads.clone(), self.stale.clone());
        Box::pin(async move {
            let load = move |ctx: LoadCtx<u32>| {
                stale.set(ctx.stale().copied());
                let (promiser, promise) = promised();
                loads.borrow_mut().push(promiser);
                promise
            };
            cache.try_get_with_details("key", options, load).await
        })
    }

    pub fn run(&self) {
        self.world.0.run_tasks();
        self.world.0.run_tasks();
    }

    /// Asks; what comes at once, if anything.
    pub fn ask(&self) -> Result<Answer, Waiting> {
        self.ask_with(CallOptions::default())
    }

    pub fn ask_with(&self, options: CallOptions) -> Result<Answer, Waiting> {
        let mut waiting = self.begin(options);
        let now = poll_once(&mut waiting);
        self.run();
        now.ok_or(waiting)
    }

    /// What an answer at once is and from where.
    pub fn now(&self) -> (u32, Status) {
        let Ok(Ok(got)) = self.ask() else { panic!("no value at once") };
        (got.value, got.status)
    }

    /// Loads this value, or this error.
    pub fn load(&self, result: Load) -> Answer {
        let Err(mut waiting) = self.ask() else { panic!("no load began") };
        self.settle(result);
        poll_once(&mut waiting).expect("settled")
    }

    pub fn settle(&self, result: Load) {
        self.loads.borrow().last().expect("a load").say(result);
        self.run();
    }

    pub fn loads(&self) -> usize {
        self.loads.borrow().len()
    }

    pub fn pass(&self, millis: u64) {
        self.world.0.advance(millis);
        self.run();
    }
}

pub fn get(answer: Answer) -> (u32, Status) {
    answer.map(|got| (got.value, got.status)).expect("a value")
}

/// A cache whose one value took `delta` to load and lives for a second more.
pub fn xfetch(beta: f64, delta: u64, draws: Rc<RefCell<Random>>) -> Bench<false> {
    let bench = Bench::<false>::new(|builder| {
        builder.time_to_live(Ttl::Millis(1_000)).refresh_ahead(beta).random(move || draws.borrow_mut().unit())
    });
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(delta);
    bench.settle(Ok(1));
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::Miss));
    bench
}
