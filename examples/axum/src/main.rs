//! `cargo run -p axum-example`, then `curl http://localhost:3000/users/7`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum_example::{Handle, app};

#[tokio::main]
async fn main() -> io::Result<()> {
    let users = Handle::start(
        |cache| cache.time_to_live(Duration::from_secs(10)).stale_while_revalidate(Duration::from_secs(60)),
        async |id: String| {
            println!("asking for user {id}");
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(Arc::from(format!("user {id}\n")))
        },
    )?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(users)).await
}
