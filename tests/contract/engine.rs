//! The crate's `Cache`, as the contract uses it: each step carried out, and what came of it written down.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{AbortHandle, LocalBoxFuture, abortable, join_all};
use nearcache::core::EvictionPolicy;
use nearcache::engine::{
    BatchEvent, Batched, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, InsertEvent, KeepFresh,
    KeepFreshOptions, LoadEvent, MissEvent, StaleEvent,
};
use nearcache::{Cache, CallOptions, Details, EntryOptions, LoadCtx, LoadError, Plugin, Ttl};
use serde_json::{Value as Json, json};

use super::bare::{begun, is_operation};
use super::script::{
    self, Face, Log, NOTHING, Place, Value, flag, list, number, said, show, show_ttl, steps_in, text, ttl,
};
use super::world::{Task, Virtual, World};

/// Where the case says nothing of requests.
pub type Together = Engine<false>;
/// Where loads run by themselves, each in its request.
pub type Detached = Engine<true>;

type Sut<const DETACHED: bool> = Cache<String, Value, Virtual<DETACHED>>;

/// What a loader fails with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct Engine<const DETACHED: bool> {
    shared: Rc<Shared<DETACHED>>,
    waits: HashMap<String, Task>,
    keepers: HashMap<String, KeepFresh>,
    log: Log,
}

/// What loaders and hooks share with the face.
struct Shared<const DETACHED: bool> {
    case: Json,
    world: Rc<World>,
    log: Rc<RefCell<Log>>,
    loads: RefCell<HashMap<String, oneshot::Sender<Json>>>,
    /// The ways out of waits within loaders.
    leavers: RefCell<HashMap<String, AbortHandle>>,
    cache: OnceCell<Sut<DETACHED>>,
    batched: OnceCell<Batched<String, Value, Virtual<DETACHED>>>,
    batches: std::cell::Cell<u32>,
    /// `Cache::get` tells of a miss without the key, where it knows none.
    key: RefCell<String>,
}

impl<const DETACHED: bool> Face for Engine<DETACHED> {
    fn new(case: &Json) -> Self {
        let options = said(case, "cache");
        let random = options.get("random").and_then(Json::as_f64).unwrap_or(0.5);
        let world = World::new(random);
        let shared = Rc::new(Shared {
            case: case.clone(),
            world: world.clone(),
            log: Rc::default(),
            loads: RefCell::default(),
            leavers: RefCell::default(),
            cache: OnceCell::new(),
            batched: OnceCell::new(),
            batches: Default::default(),
            key: RefCell::default(),
        });
        let bound = |name| number(options, name).unwrap_or(u64::MAX);
        let policy = script::patch(options);
        // Whom a full cache evicts is foreseeable with LRU alone.
        let mut builder = Cache::builder()
            .eviction(if said(options, "eviction") == "adaptive" {
                EvictionPolicy::Adaptive
            } else {
                EvictionPolicy::Lru
            })
            .max_entries(number(options, "maxEntries").unwrap_or(10_000))
            .max_bytes(bound("maxBytes"))
            .max_entry_bytes(bound("maxEntryBytes"))
            .time_to_live(policy.ttl.unwrap_or(Ttl::Forever))
            .time_to_idle(policy.idle_ttl.unwrap_or(Ttl::Forever))
            .stale_while_revalidate(policy.stale_while_revalidate.unwrap_or(Ttl::ZERO))
            .stale_if_error(policy.stale_if_error.unwrap_or(Ttl::ZERO))
            .refresh_ahead(policy.refresh_ahead.unwrap_or(0.0))
            .jitter(policy.jitter.unwrap_or(0.0))
            .error_backoff(policy.error_backoff.unwrap_or(Ttl::ZERO))
            .soft_timeout(policy.soft_timeout.unwrap_or(Ttl::Forever))
            .hard_timeout(policy.hard_timeout.unwrap_or(Ttl::Millis(30_000)));
        if flag(options, "validate") {
            builder = builder.validate(script::is_valid);
        }
        let limits = script::load_limits(options);
        builder = builder
            .max_concurrent_loads(limits.max_concurrent)
            .loads_per_second(limits.per_second)
            .max_queued_loads(limits.max_queued)
            .keep_loading(policy.keep_loading.unwrap_or(false));
        if let Some(every) = number(options, "purgeStaleEvery") {
            builder = builder.purge_stale_every(Ttl::Millis(every));
        }
        if let Some(retry) = policy.retry {
            builder = builder.retry(retry);
        }
        // The rule by which cases say that an error is for good.
        builder = builder.retry_if(|error| !error.to_string().starts_with("final"));
        // There is no rule without a ttl: where only a namespace or a call has one, the cache's is as for any value.
        let in_namespace = options.get("namespaces").is_some_and(|it| it.to_string().contains("negativeTtl"));
        let negative = policy.negative_ttl.or(in_namespace.then(|| policy.ttl.unwrap_or(Ttl::Forever)));
        if let Some(negative) = negative {
            builder = builder.negative_ttl(negative);
        }
        if flag(options, "sizeOfLength") {
            builder = builder.weigher(|_, value: &Value| show(value).len() as u32);
        }
        if case.get("hooks").is_some() {
            builder = builder.plugin(Hooks(shared.clone()));
        }
        let cache = builder.runtime(Virtual(world)).build();
        if let Some(batch) = options.get("batch") {
            let loader = shared.clone();
            let mut batched = cache.batched(move |keys, ctxs| loader.clone().load_batch(keys, ctxs));
            if let Some(most) = number(batch, "maxBatchSize") {
                batched = batched.max_batch_size(most as usize);
            }
            if let Some(window) = number(batch, "batchWindow") {
                batched = batched.batch_window(Duration::from_millis(window));
            }
            let _ = shared.batched.set(batched);
        }
        let _ = shared.cache.set(cache);
        Self { shared, waits: HashMap::new(), keepers: HashMap::new(), log: Log::default() }
    }

    fn act(&mut self, step: &Json) -> Result<Json, String> {
        let request = step.get("request").and_then(Json::as_str);
        let shared = self.shared.clone();
        shared.world.within(request, || self.carry_out(step))
    }

    fn settle_down(&mut self) {
        self.shared.world.run();
    }

    fn log(&mut self) -> &mut Log {
        self.log = std::mem::take(&mut self.shared.log.borrow_mut());
        &mut self.log
    }

    fn stats(&mut self, step: &Json) -> Json {
        let handle = self.shared.handle(step);
        script::figures(&handle.stats(), handle.loads_in_flight(), handle.loads_queued())
    }

    fn size(&mut self, step: &Json) -> usize {
        self.shared.handle(step).len()
    }
}

impl<const DETACHED: bool> Engine<DETACHED> {
    fn carry_out(&mut self, step: &Json) -> Result<Json, String> {
        let shared = self.shared.clone();
        let Some((operation, subject)) = step.as_object().and_then(|step| step.iter().find(|it| is_operation(it.0)))
        else {
            return Err(format!("no such step: {step}"));
        };
        let name = subject.as_str().unwrap_or("").to_owned();
        *shared.key.borrow_mut() = name.clone();
        let handle = shared.handle(step);
        let or_nothing = |value: Option<Value>| value.map_or(json!(NOTHING), |value| json!(value));
        Ok(match operation.as_str() {
            "set" | "get" | "has" | "delete" | "expire" | "clear" | "deleteByTag" => {
                shared.touch(step).expect("it is one of these")
            }
            "pop" => or_nothing(handle.remove(&name)),
            "getAllPresent" => {
                let keys = list(step, "keys").iter().filter_map(Json::as_str);
                json!(handle.get_all_present(keys.inspect(|key| *shared.key.borrow_mut() = (*key).to_owned())))
            }
            "find" => or_nothing(handle.iter().map(|(_, value)| value).find(|value| show(value).starts_with(&name))),
            "keys" => {
                let entries = handle.iter().map(|(key, _)| key);
                let keys: Vec<String> = if name == "oldest" { entries.rev().collect() } else { entries.collect() };
                json!(keys)
            }
            "peek" => or_nothing(handle.peek(&name)),
            "peekStale" => or_nothing(handle.peek_stale(&name)),
            "info" => handle.info(&name).map_or(json!(NOTHING), |info| {
                let mut tags = info.tags;
                tags.sort_unstable();
                let (state, ttl, age) = (info.state.as_str(), show_ttl(info.ttl), info.age.as_millis() as u64);
                json!({ "state": state, "loading": info.loading, "age": age, "ttl": ttl, "bytes": info.weight, "tags": tags })
            }),
            "purgeStale" => json!(handle.purge_stale()),
            "deleteWhere" => json!(handle.remove_where(|_, value| show(value).starts_with(&name))),
            "setMany" => {
                let value = |pair: &Json| pair[1].as_str().map(str::to_owned);
                let entry = |pair: &Json| (pair[0].as_str().expect("a key").to_owned(), value(pair));
                handle.insert_many(list(step, "setMany").iter().map(entry), entry_options(said(step, "with")));
                Json::Null
            }
            "deleteMany" => json!(handle.remove_many(list(step, "deleteMany").iter().filter_map(Json::as_str))),
            "remainingTtl" => handle.remaining_ttl(&name).map_or(json!(NOTHING), show_ttl),
            "expireByTag" => json!(handle.expire_by_tag(&name)),
            "size" => json!(handle.len()),
            "stats" => self.stats(step),
            "ask" => {
                let task = shared.world.start(shared.clone().ask(step.clone()));
                self.waits.insert(name, task);
                Json::Null
            }
            "update" => {
                let task = shared.world.start(shared.clone().update(step.clone()));
                self.waits.insert(name, task);
                Json::Null
            }
            "compute" => {
                let task = shared.world.start(shared.clone().compute(step.clone()));
                self.waits.insert(name, task);
                Json::Null
            }
            "keepFresh" => {
                self.keep_fresh(&handle, step, &name);
                Json::Null
            }
            "stop" => {
                self.keepers.remove(&name);
                Json::Null
            }
            "bring" | "fail" => {
                let told = shared.loads.borrow_mut().remove(&name).map(|load| load.send(step.clone()));
                if told.is_none() && !flag(&shared.case, "figures") {
                    return Err(format!("no load {name}"));
                }
                Json::Null
            }
            "leave" => {
                if let Some(task) = self.waits.get(&name) {
                    task.cancel();
                } else if let Some(leaver) = shared.leavers.borrow().get(&name) {
                    leaver.abort();
                }
                Json::Null
            }
            "lose" if !DETACHED => return Err("loads belong to no request here".to_owned()),
            "lose" => {
                shared.world.kill(&name);
                Json::Null
            }
            "advance" => {
                shared.world.advance(subject.as_u64().unwrap_or(0));
                Json::Null
            }
            "walk" => {
                (0..subject.as_u64().unwrap_or(0)).for_each(|_| shared.world.advance(1));
                Json::Null
            }
            other => return Err(format!("no operation {other}")),
        })
    }

    fn keep_fresh(&mut self, handle: &Sut<DETACHED>, step: &Json, name: &str) {
        let keys: Vec<String> = list(step, "keys").iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let every = ttl(step, "every").expect("an interval");
        let (log, told) = (self.shared.log.clone(), name.to_owned());
        let mut options = KeepFreshOptions::new(every).on_error(move |key: &String, error: &LoadError| {
            log.borrow_mut().settles.insert(format!("{told}:{key}"), json!({ "error": code_of(error) }));
        });
        if let Some(most) = number(step, "concurrency") {
            options = options.concurrency(most as usize);
        }
        let (shared, name) = (self.shared.clone(), name.to_owned());
        let keeper = handle.keep_fresh(keys, options, {
            let name = name.clone();
            move |key, ctx| shared.clone().load(format!("{name}:{key}"), Vec::new(), Vec::new(), ctx)
        });
        self.keepers.insert(name, keeper.expect("it can spawn"));
    }
}

impl<const DETACHED: bool> Shared<DETACHED> {
    fn root(&self) -> Sut<DETACHED> {
        self.cache.get().expect("it is made").clone()
    }

    fn handle(&self, step: &Json) -> Sut<DETACHED> {
        let namespaces = said(said(&self.case, "cache"), "namespaces");
        steps_in(step).iter().fold(self.root(), |handle, name| match name.strip_prefix('#') {
            Some(scope) => handle.scope(scope),
            None => handle.namespace(name, script::patch(said(namespaces, name))).expect("numbers are left"),
        })
    }

    /// The steps that a loader may take too; `None` if it is another.
    fn touch(&self, step: &Json) -> Option<Json> {
        let (operation, subject) = step.as_object()?.iter().find(|it| is_operation(it.0))?;
        let (handle, name) = (self.handle(step), subject.as_str().unwrap_or("").to_owned());
        name.clone_into(&mut self.key.borrow_mut());
        Some(match operation.as_str() {
            "set" => self.set(&handle, step, name),
            "get" => handle.get(&name).map_or(json!(NOTHING), |value| json!(value)),
            "has" => json!(handle.contains(&name)),
            "delete" => json!(handle.remove(&name).is_some()),
            "expire" => json!(handle.expire(&name)),
            "clear" => {
                handle.clear();
                Json::Null
            }
            "deleteByTag" => json!(handle.remove_by_tag(&name)),
            _ => return None,
        })
    }

    fn set(&self, handle: &Sut<DETACHED>, step: &Json, key: String) -> Json {
        let with = said(step, "with");
        let options = entry_options(with);
        let case = said(&self.case, "cache");
        let is_unknown = options.weight.is_none() && handle.limits().weighs() && !flag(case, "sizeOfLength");
        let stored = handle.insert_with(key, script::value(step, "to"), options);
        // An insertion has no error; it says that it stored nothing.
        if is_unknown && !stored { json!("ERR_BYTES") } else { Json::Null }
    }

    fn ask(self: Rc<Self>, step: Json) -> LocalBoxFuture<'static, ()> {
        let (handle, key) = (self.handle(&step), text(&step, "key").to_owned());
        let options = call_options(said(&step, "with"));
        let (name, load) = (text(&step, "load").to_owned(), self.clone());
        let waiting = Waiting { name: text(&step, "ask").to_owned(), log: self.log.clone(), ended: false };
        let plain = flag(&step, "plain");
        // A namespace may say it too.
        let cache = said(&self.case, "cache");
        let namespaces = said(cache, "namespaces").to_string();
        let does = list(&step, "does").to_vec();
        let is_retried = options.policy.retry.is_some() || cache.get("retry").is_some() || namespaces.contains("retry");
        async move {
            if name == "batch" {
                let batched = self.batched.get().expect("the case has a batch").clone();
                waiting.end(batched.get_with_details(key, options).await.map(details));
            } else {
                let asks = list(&step, "asks").to_vec();
                if is_retried {
                    let load = move |ctx| load.clone().load(name.clone(), asks.clone(), does.clone(), ctx);
                    waiting.end(handle.try_get_with_retry(key, options, load).await.map(details));
                    return;
                }
                let load = move |ctx| load.load(name, asks, does, ctx);
                if plain {
                    waiting.end(handle.try_get_with(key, load).await.map(|value| json!({ "value": value })));
                } else {
                    waiting.end(handle.try_get_with_details(key, options, load).await.map(details));
                }
            }
        }
        .boxed_local()
    }

    fn update(self: Rc<Self>, step: Json) -> LocalBoxFuture<'static, ()> {
        let (handle, key) = (self.handle(&step), text(&step, "key").to_owned());
        let options = call_options(said(&step, "with"));
        let name = text(&step, "write").to_owned();
        let waiting = Waiting { name: text(&step, "update").to_owned(), log: self.log.clone(), ended: false };
        async move {
            let written =
                handle.update_with_options(key, options, move |ctx| self.load(name, Vec::new(), Vec::new(), ctx)).await;
            waiting.end(written.map(|value| json!({ "value": value })));
        }
        .boxed_local()
    }

    fn compute(self: Rc<Self>, step: Json) -> LocalBoxFuture<'static, ()> {
        let (handle, key) = (self.handle(&step), text(&step, "key").to_owned());
        let options = call_options(said(&step, "with"));
        let name = text(&step, "run").to_owned();
        let waiting = Waiting { name: text(&step, "compute").to_owned(), log: self.log.clone(), ended: false };
        async move {
            let compute = async |value: Option<Value>| -> Result<Option<Value>, Failure> {
                let shown = value.map_or(String::new(), |value| format!(" value={}", show(&value)));
                self.log.borrow_mut().begins.push(format!("{name}{shown}"));
                let (tell, told) = oneshot::channel();
                self.loads.borrow_mut().insert(name.clone(), tell);
                let mut running = Running { name: name.clone(), log: self.log.clone(), ended: false };
                let Ok(end) = told.await else { std::future::pending().await };
                running.ended = true;
                match end.get("error").and_then(Json::as_str) {
                    Some(error) => Err(error.into()),
                    None => Ok((!flag(&end, "remove")).then(|| script::value(&end, "value"))),
                }
            };
            let computed = handle.compute_with_options(key, options, compute).await;
            waiting.end(computed.map(|value| json!({ "value": value.map_or(json!(NOTHING), |value| json!(value)) })));
        }
        .boxed_local()
    }

    /// A loader that ends when it is told to, and when its own asks have ended.
    fn load(
        self: Rc<Self>,
        name: String,
        asks: Vec<Json>,
        does: Vec<Json>,
        ctx: LoadCtx<Value>,
    ) -> LocalBoxFuture<'static, Result<Value, Failure>> {
        async move {
            self.log.borrow_mut().begins.push(begun(&name, &ctx.stale().cloned()));
            let (tell, told) = oneshot::channel();
            self.loads.borrow_mut().insert(name.clone(), tell);
            self.work(&name, &does);
            let mut running = Running { name, log: self.log.clone(), ended: false };
            let asks = join_all(asks.into_iter().map(|ask| {
                let name = text(&ask, "ask").to_owned();
                let (asking, leaver) = abortable(self.clone().ask(ask));
                self.leavers.borrow_mut().insert(name, leaver);
                asking
            }));
            let (told, _) = futures::future::join(told, asks).await;
            running.ended = true;
            let Ok(end) = told else { std::future::pending().await };
            self.work(&running.name, list(&end, "does"));
            say(&ctx, said(&end, "say"));
            match end.get("error").and_then(Json::as_str) {
                Some(error) => Err(error.into()),
                None => Ok(script::value(&end, "value")),
            }
        }
        .boxed_local()
    }

    /// What a loader does with the cache.
    fn work(&self, name: &str, does: &[Json]) {
        for step in does {
            let answer = self.touch(step).expect("it is one of these");
            self.log.borrow_mut().begins.push(format!("{name} does {answer}"));
        }
    }

    fn load_batch(
        self: Rc<Self>,
        keys: Vec<String>,
        ctxs: Vec<LoadCtx<Value>>,
    ) -> LocalBoxFuture<'static, Vec<Result<Value, Failure>>> {
        async move {
            self.batches.set(self.batches.get() + 1);
            let name = format!("b{}", self.batches.get());
            self.log.borrow_mut().begins.push(format!("{name}: {}", keys.join(" ")));
            let (tell, told) = oneshot::channel();
            self.loads.borrow_mut().insert(name, tell);
            let Ok(end) = told.await else { std::future::pending().await };
            for (ctx, words) in ctxs.iter().zip(list(&end, "say")) {
                say(ctx, words);
            }
            if let Some(error) = end.get("error").and_then(Json::as_str) {
                return keys.iter().map(|_| Err(error.into())).collect();
            }
            let result = |value: &Json| match value {
                Json::Object(failed) => Err(failed["error"].as_str().unwrap_or("").into()),
                value => Ok(value.as_str().map(str::to_owned)),
            };
            list(&end, "values").iter().map(result).collect()
        }
        .boxed_local()
    }
}

fn entry_options(with: &Json) -> EntryOptions {
    let mut options = EntryOptions::default();
    options.policy = script::patch(with);
    options.tags = script::tags(with);
    options.weight = weight(with);
    options
}

fn call_options(with: &Json) -> CallOptions {
    let mut options = CallOptions::default();
    options.policy = script::patch(with);
    options.tags = script::tags(with);
    options.weight = weight(with);
    options.force_fresh = flag(with, "forceFresh");
    options
}

fn weight(with: &Json) -> Option<u32> {
    number(with, "bytes").and_then(|bytes| u32::try_from(bytes).ok())
}

fn say(ctx: &LoadCtx<Value>, words: &Json) {
    let said = script::patch(words);
    said.ttl.into_iter().for_each(|it| ctx.set_ttl(it));
    said.idle_ttl.into_iter().for_each(|it| ctx.set_idle_ttl(it));
    said.stale_while_revalidate.into_iter().for_each(|it| ctx.set_stale_while_revalidate(it));
    said.stale_if_error.into_iter().for_each(|it| ctx.set_stale_if_error(it));
    said.refresh_ahead.into_iter().for_each(|it| ctx.set_refresh_ahead(it));
    said.jitter.into_iter().for_each(|it| ctx.set_jitter(it));
    said.error_backoff.into_iter().for_each(|it| ctx.set_error_backoff(it));
    weight(words).into_iter().for_each(|it| ctx.set_weight(it));
    script::tags(words).into_iter().for_each(|tag| ctx.tag(tag));
    if flag(words, "skip") {
        ctx.skip();
    }
}

fn details(got: Details<Value>) -> Json {
    let Details { value, status, age, ttl, .. } = got;
    json!({ "value": value, "status": status.as_str(), "age": millis(age), "ttl": show_ttl(ttl) })
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// A loader's own error by its text, others by their code.
fn code_of(error: &LoadError) -> String {
    match error {
        LoadError::Loader(error) => error.to_string(),
        error => error.code().to_owned(),
    }
}

/// A waiter. Dropped before its end, it has left.
struct Waiting {
    name: String,
    log: Rc<RefCell<Log>>,
    ended: bool,
}

impl Waiting {
    fn end(mut self, result: Result<Json, LoadError>) {
        self.ended = true;
        let end = result.unwrap_or_else(|error| json!({ "error": code_of(&error) }));
        self.log.borrow_mut().settles.insert(self.name.clone(), end);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.ended {
            self.log.borrow_mut().settles.insert(self.name.clone(), json!({ "error": "left" }));
        }
    }
}

/// A load. Dropped before its end, it was told to stop.
struct Running {
    name: String,
    log: Rc<RefCell<Log>>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.log.borrow_mut().aborts.push(self.name.clone());
        }
    }
}

struct Hooks<const DETACHED: bool>(Rc<Shared<DETACHED>>);

impl<const DETACHED: bool> Hooks<DETACHED> {
    fn told(&self, event: &str, key: &str, rest: &str, place: &nearcache::engine::Place) {
        let shared = &self.0;
        if !list(&shared.case, "hooks").contains(&json!(event)) {
            return;
        }
        let place = Place { namespaces: place.namespaces.clone(), scopes: place.scopes.clone() };
        let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
        shared.log.borrow_mut().events.push(format!("{event} {key}{rest}{place}"));
        if let Some(key) = said(&shared.case, "hookGets").get(event).and_then(Json::as_str) {
            *shared.key.borrow_mut() = key.to_owned();
            shared.root().get(key);
        }
    }
}

const fn background(is_background: bool) -> &'static str {
    if is_background { " background" } else { "" }
}

impl<const DETACHED: bool> Plugin<String, Value> for Hooks<DETACHED> {
    fn hit(&self, event: &HitEvent<'_, String>) {
        self.told("hit", event.key, "", event.place);
    }

    fn stale(&self, event: &StaleEvent<'_, String>) {
        self.told("stale", event.key, event.cause.as_str(), event.place);
    }

    fn miss(&self, event: &MissEvent<'_, String>) {
        let asked = self.0.key.borrow().clone();
        self.told("miss", event.key.unwrap_or(&asked), event.cause.as_str(), event.place);
    }

    fn coalesced(&self, event: &CoalescedEvent<'_, String>) {
        self.told("coalesced", event.key, "", event.place);
    }

    fn load(&self, event: &LoadEvent<'_, String>) {
        let rest = format!("{}{}", millis(event.duration), background(event.background));
        self.told("load", event.key, &rest, event.place);
    }

    fn error(&self, event: &ErrorEvent<'_, String>) {
        let (took, error) = (millis(event.duration), code_of(event.error));
        self.told("error", event.key, &format!("{took}{} {error}", background(event.background)), event.place);
    }

    fn insert(&self, event: &InsertEvent<'_, String>) {
        self.told("insert", event.key, "", event.place);
    }

    fn evict(&self, event: &EvictEvent<'_, String, Value>) {
        let rest = format!("{} {}", show(event.value), event.cause.as_str());
        self.told("evict", event.key, &rest, event.place);
    }

    fn expire(&self, event: &ExpireEvent<'_, String, Value>) {
        self.told("expire", event.key, show(event.value), event.place);
    }

    fn batch(&self, event: &BatchEvent<'_, String>) {
        let error = event.error.map_or(String::new(), |error| format!(" {}", code_of(error)));
        self.told("batch", &event.keys.join(","), &format!("{}{error}", millis(event.duration)), event.place);
    }
}
