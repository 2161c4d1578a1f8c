//! nearcache behind axum. A cache stays on its thread, and axum wants what may move between threads: so the cache has a
//! thread of its own, and what handlers hold is a [`Handle`] that may be cloned, sent and shared.

use std::io;
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use nearcache::{Builder, Cache, LoadError};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

type Answer<V> = Result<V, LoadError>;

/// A cache on a thread of its own, which ends with the last handle.
pub struct Handle<V> {
    asks: mpsc::UnboundedSender<(String, oneshot::Sender<Answer<V>>)>,
}

impl<V> Clone for Handle<V> {
    fn clone(&self) -> Self {
        Self { asks: self.asks.clone() }
    }
}

impl<V: Clone + Send + 'static> Handle<V> {
    /// Starts the thread. `options` says what cache it makes there, and `load` loads the value of a key, on that thread:
    /// it may wait for whatever tokio offers, and need not be `Send`.
    ///
    /// # Errors
    /// If the system has no thread, or no room for the runtime's own matters.
    pub fn start<F>(
        options: impl FnOnce(Builder<String, V>) -> Builder<String, V> + Send + 'static,
        load: impl Fn(String) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<V, Box<dyn std::error::Error + Send + Sync>>> + 'static,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (asks, mut asked) = mpsc::unbounded_channel::<(String, oneshot::Sender<Answer<V>>)>();
        thread::Builder::new().name("cache".to_owned()).spawn(move || {
            // What nobody waits for, a refresh in the background, runs beside the rest.
            let builder = Cache::builder().spawner(|task| drop(spawn_local(task)));
            let (cache, load) = (options(builder).build(), std::rc::Rc::new(load));
            LocalSet::new().block_on(&runtime, async move {
                while let Some((key, mut reply)) = asked.recv().await {
                    let (cache, load) = (cache.clone(), load.clone());
                    spawn_local(async move {
                        let value = cache.try_get_with(key.clone(), async move |_| load(key).await);
                        tokio::select! {
                            answer = value => drop(reply.send(answer)),
                            // Whoever asked has left. A load that nobody waits for any more ends here.
                            () = reply.closed() => {}
                        }
                    });
                }
            });
        })?;
        Ok(Self { asks })
    }

    /// As [`Cache::try_get_with`], from any thread.
    ///
    /// # Errors
    /// As there; [`LoadError::Lost`] too if the cache's thread has ended.
    pub async fn get(&self, key: String) -> Answer<V> {
        let (reply, answer) = oneshot::channel();
        self.asks.send((key, reply)).map_err(|_| LoadError::Lost)?;
        answer.await.map_err(|_| LoadError::Lost)?
    }
}

/// `GET /users/{id}`.
pub fn app(users: Handle<Arc<str>>) -> Router {
    Router::new().route("/users/{id}", get(user)).with_state(users)
}

async fn user(State(users): State<Handle<Arc<str>>>, Path(id): Path<String>) -> Result<String, (StatusCode, String)> {
    match users.get(id).await {
        Ok(user) => Ok(user.to_string()),
        Err(error) => Err((StatusCode::BAD_GATEWAY, format!("{}: {error}", error.code()))),
    }
}
