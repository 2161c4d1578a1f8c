//! Loads and writes whose ends are told by hand.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use nearcache::{Cache, EntryOptions, LoadCtx, LoadError};

use crate::common::{Promiser, Virtual, poll_once, promised};

pub type Said = Result<u32, &'static str>;

pub type Waiting = Pin<Box<dyn Future<Output = Result<u32, LoadError>>>>;

pub type Sut<const ALONE: bool> = Cache<&'static str, u32, Virtual<ALONE>>;

pub fn sut<const ALONE: bool>() -> (Sut<ALONE>, Virtual<ALONE>) {
    let world = Virtual::default();
    world.0.spawns.set(true);
    (Cache::builder().runtime(world.clone()).build(), world)
}

/// A get, polled once, and the end of its load.
pub fn load<const ALONE: bool>(
    cache: &Sut<ALONE>,
    world: &Virtual<ALONE>,
    key: &'static str,
    tags: &'static [&'static str],
) -> (Waiting, Rc<RefCell<Option<Promiser<Said>>>>) {
    let (cache, end) = (cache.clone(), Rc::new(RefCell::new(None)));
    let place = end.clone();
    let load = move |ctx: LoadCtx<u32>| {
        tags.iter().for_each(|tag| ctx.tag(*tag));
        let (promiser, promise) = promised();
        *place.borrow_mut() = Some(promiser);
        promise
    };
    let mut waiting: Waiting = Box::pin(async move { cache.try_get_with(key, load).await });
    assert!(poll_once(&mut waiting).is_none());
    world.0.run_tasks();
    (waiting, end)
}

/// A write, polled once, and its end.
pub fn write<const ALONE: bool>(
    cache: &Sut<ALONE>,
    world: &Virtual<ALONE>,
    key: &'static str,
) -> (Waiting, Promiser<Said>) {
    let (cache, (promiser, promise)) = (cache.clone(), promised());
    let mut waiting: Waiting = Box::pin(async move { cache.update(key, |_| promise).await });
    assert!(poll_once(&mut waiting).is_none());
    world.0.run_tasks();
    (waiting, promiser)
}

pub fn end<const ALONE: bool>(world: &Virtual<ALONE>, waiting: &mut Waiting) -> Result<u32, LoadError> {
    world.0.run_tasks();
    poll_once(waiting).expect("settled")
}

pub fn say(end: &Rc<RefCell<Option<Promiser<Said>>>>, said: Said) {
    end.borrow().as_ref().expect("it began").say(said);
}

pub fn tagged(tags: &[&str]) -> EntryOptions {
    EntryOptions::new().tags(tags.iter().copied())
}
