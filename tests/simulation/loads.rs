//! Loads, and batches of them, that end as they are told.

use super::*;

impl Shared {
    /// Notes a load; it is there until what is returned is dropped.
    pub fn load(&self, keys: Vec<u64>, id: u64, deadline: u64, is_write: bool, end: End) -> Noted {
        let gone = Rc::new(Cell::new(false));
        let epochs = keys.iter().map(|key| self.model.epoch(*key)).collect();
        let (request, of_load) = (self.world.request(), gone.clone());
        let asks = Rc::new(Cell::new(None));
        let noted = Noted { gone, asks: asks.clone() };
        self.loads.borrow_mut().push(Load { keys, epochs, id, request, deadline, is_write, end, asks, gone: of_load });
        noted
    }
}

/// Tells the model how a load ended.
pub fn settled(model: &Model, plan: &Plan, key: u64, id: u64, now: u64, said: Said) -> Result<Value, String> {
    let view = Model::view(key);
    match said {
        Said::Value => {
            model.stored(id, plan.ends(now, view));
            Ok(Value { key, id })
        }
        Said::Error => {
            model.failed(id, now + plan.backoff.unwrap_or(BACKOFFS[view as usize]));
            Err(format!("load {id}"))
        }
        Said::Panic => throw(),
    }
}

pub fn batched<const ALONE: bool>(
    views: &[Sut<ALONE>],
    view: u64,
    shared: Shared,
    world: Virtual<ALONE>,
) -> Batched<u64, Value, Virtual<ALONE>> {
    let load = move |keys: Vec<u64>, ctxs: Vec<LoadCtx<Value>>| {
        let (shared, world) = (shared.clone(), world.clone());
        async move {
            let keys: Vec<u64> = keys.into_iter().map(|key| key * VIEWS + view).collect();
            let mut unique = keys.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), keys.len(), "a key twice in a batch");
            assert!(keys.len() <= 4, "more than a batch holds");
            let model = shared.model.clone();
            let plans: Vec<Plan> = match shared.plans.borrow_mut().as_mut() {
                Some(random) => keys.iter().map(|_| Plan::draw(random)).collect(),
                None => Vec::new(),
            };
            let begin = |(key, plan): (&u64, &Plan)| model.begin(*key, &plan.tags, !plan.skip);
            let ids: Vec<u64> = keys.iter().zip(&plans).map(begin).collect();
            let (promiser, promise) = promised();
            // Which leader's deadline it has is not known here, so that it's held to none.
            let _gone = shared.load(keys.clone(), ids[0], 0, false, End::Many(promiser, ids.clone()));
            let said = promise.await;
            if said.contains(&Said::Panic) {
                throw();
            }
            ctxs.iter().zip(&plans).for_each(|(ctx, plan)| plan.say(ctx));
            let now = world.0.now();
            if said.len() < keys.len() {
                let rest = |(id, plan): (&u64, &Plan)| model.failed(*id, now + plan.backoff.unwrap_or(50));
                ids.iter().zip(&plans).for_each(rest);
                return said.into_iter().map(|_| Err("too few".to_owned())).collect::<Vec<_>>();
            }
            let all = said.into_iter().enumerate();
            all.map(|(n, said)| settled(&model, &plans[n], keys[n], ids[n], now, said)).collect()
        }
    };
    views[view as usize].batched(load).max_batch_size(4)
}

/// A load that is there until this is dropped.
pub struct Noted {
    gone: Rc<Cell<bool>>,
    pub asks: Rc<Cell<Option<Asks>>>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.gone.set(true);
    }
}
