//! What went wrong, on its way through a program's own errors.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;

use anyhow::Context;
use futures::executor::block_on;
use nearcache::{Cache, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Debug, PartialEq)]
pub struct NoSuchUser(u32);

impl fmt::Display for NoSuchUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no user {}", self.0)
    }
}

impl std::error::Error for NoSuchUser {}

/// Lets others ask for the same.
pub async fn pending_once() {
    let mut polled = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

pub async fn name(users: &Cache<u32, String>, id: u32) -> anyhow::Result<String> {
    let name = users.try_get_with(id, async move |_| Err(NoSuchUser(id))).await.context("greeting")?;
    Ok(format!("Hello, {name}"))
}

#[test]
fn a_load_error_goes_through_a_question_mark() {
    fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(LoadError::Full)?
    }
    let error = boxed().expect_err("an error");
    assert!(matches!(error.downcast_ref(), Some(LoadError::Full)));
}

#[test]
fn a_load_error_goes_by_the_question_mark_into_anyhow_with_its_causes() {
    let users = Cache::new_with_max_entries(10);
    let error = block_on(name(&users, 7)).unwrap_err();
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert_eq!(chain, ["greeting", "the loader failed: there is no user 7", "there is no user 7"]);
    assert_eq!(error.downcast_ref::<LoadError>().map(LoadError::code), Some("ERR_LOADER"));
    assert_eq!(error.root_cause().downcast_ref(), Some(&NoSuchUser(7)));
}

#[test]
fn a_loader_may_fail_with_anyhow_and_all_who_waited_can_see_the_cause() {
    let users: Cache<u32, String> = Cache::new_with_max_entries(10);
    let load = || {
        users.try_get_with(7, async |_| {
            pending_once().await;
            Err(anyhow::Error::new(NoSuchUser(7)).context("asking the database"))
        })
    };
    let (one, other) = block_on(futures::future::join(load(), load()));
    for error in [one.unwrap_err(), other.unwrap_err()] {
        let chain: Vec<_> = anyhow::Error::new(error).chain().map(ToString::to_string).collect();
        assert_eq!(chain, ["the loader failed: asking the database", "asking the database", "there is no user 7"]);
    }
    assert_eq!(users.stats().loads, 1);
}

#[test]
fn a_load_error_can_be_sent_to_another_thread() {
    fn sent(_: impl Send + Sync + 'static) {}
    sent(LoadError::Lost);
}
