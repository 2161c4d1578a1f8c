//! The axum example over real HTTP: a server of several threads, and one cache.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum_example::{Handle, app};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const LONG: Duration = Duration::from_secs(60);

/// A server whose users take 300 ms to load.
struct Served {
    address: SocketAddr,
    /// Loads that were begun.
    calls: Arc<AtomicUsize>,
    /// Loads that are over, at their end or dropped before it.
    over: Arc<AtomicUsize>,
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn serve(ttl: Duration) -> Served {
    let (calls, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (begun, ended) = (calls.clone(), over.clone());
    let users = Handle::start(
        move |cache| cache.time_to_live(ttl).stale_while_revalidate(Duration::from_secs(60)),
        move |id: String| {
            let call = begun.fetch_add(1, Ordering::SeqCst) + 1;
            let guard = CountDrop(ended.clone());
            async move {
                let _guard = guard;
                sleep(Duration::from_millis(300)).await;
                if id == "nobody" { Err("no such user".into()) } else { Ok(Arc::from(format!("{id}, call {call}"))) }
            }
        },
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app(users.unwrap())).await });
    Served { address, calls, over }
}

async fn ask(address: SocketAddr, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /users/{id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Status and body.
async fn get(address: SocketAddr, id: &str) -> (u16, String) {
    let mut answer = String::new();
    ask(address, id).await.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_on_many_threads_share_one_load() {
    let Served { address, calls, .. } = serve(LONG).await;
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        asking.spawn(async move { get(address, "ada").await });
    }
    for answer in asking.join_all().await {
        assert_eq!(answer, (200, "ada, call 1".to_owned()));
    }
    assert_eq!(get(address, "ada").await.1, "ada, call 1");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_loaders_error_reaches_all_and_the_next_asks_again() {
    let Served { address, calls, .. } = serve(LONG).await;
    let (one, other) = tokio::join!(get(address, "nobody"), get(address, "nobody"));
    assert_eq!(one, (502, "ERR_LOADER: the loader failed: no such user".to_owned()));
    assert_eq!(one, other);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    get(address, "nobody").await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_first_client_leaves_the_others_get_the_value() {
    let Served { address, calls, over } = serve(LONG).await;
    let first = ask(address, "ada").await;
    sleep(Duration::from_millis(50)).await;
    let others = tokio::spawn(async move { tokio::join!(get(address, "ada"), get(address, "ada")) });
    sleep(Duration::from_millis(50)).await;
    drop(first);
    let (one, other) = others.await.unwrap();
    assert_eq!((one.0, other.0), (200, 200));
    assert_eq!((calls.load(Ordering::SeqCst), over.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_that_nobody_waits_for_any_more_is_dropped() {
    let Served { address, calls, over } = serve(LONG).await;
    let only = ask(address, "ada").await;
    sleep(Duration::from_millis(50)).await;
    drop(only);
    // Half of the time that the load would take.
    sleep(Duration::from_millis(150)).await;
    assert_eq!((calls.load(Ordering::SeqCst), over.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stale_value_is_answered_at_once_and_refreshed_in_the_background() {
    let Served { address, .. } = serve(Duration::from_millis(1)).await;
    get(address, "ada").await;
    sleep(Duration::from_millis(20)).await;
    assert_eq!(get(address, "ada").await.1, "ada, call 1");
    sleep(Duration::from_millis(600)).await;
    assert_eq!(get(address, "ada").await.1, "ada, call 2");
}
