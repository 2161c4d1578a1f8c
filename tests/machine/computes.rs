//! Who computes a key when, in virtual time.

use nearcache::core::{ComputeQueue, MOST_COMPUTES_WAITING};
use nearcache::time::{Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const LONGEST: u64 = 900_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Asks at `now`, until then.
fn ask(queue: &mut ComputeQueue, now: u64, deadline: u64) -> u32 {
    queue.ask(at(now), at(deadline)).expect("there is room")
}

#[test]
fn one_comes_after_the_other_in_the_order_in_which_they_asked() {
    let mut queue = ComputeQueue::default();
    assert_eq!(queue.first(), None);
    let asked: Vec<_> = (0..3).map(|now| ask(&mut queue, now, 100)).collect();
    for one in &asked {
        assert_eq!(queue.first(), Some(*one));
        queue.leave(*one, at(10));
    }
    assert_eq!(queue.first(), None, "nobody is left");
}

#[test]
fn who_leaves_while_it_waits_changes_nobodys_turn() {
    let mut queue = ComputeQueue::default();
    let asked: Vec<_> = (0..3).map(|now| ask(&mut queue, now, 100)).collect();
    queue.leave(asked[1], at(5));
    assert_eq!(queue.first(), Some(asked[0]));
    queue.leave(asked[0], at(6));
    assert_eq!(queue.first(), Some(asked[2]));
    queue.leave(asked[0], at(7));
    assert_eq!(queue.first(), Some(asked[2]), "it left before");
}

#[test]
fn so_many_wait_and_no_more() {
    let mut queue = ComputeQueue::default();
    let first = ask(&mut queue, 0, 100);
    for _ in 0..MOST_COMPUTES_WAITING {
        ask(&mut queue, 0, 100);
    }
    assert_eq!(queue.ask(at(0), at(100)), None);
    queue.leave(first, at(1));
    ask(&mut queue, 1, 100);
    assert_eq!(queue.ask(at(1), at(100)), None);
}

#[test]
fn each_is_looked_at_at_its_deadline_and_is_late_from_then_on() {
    let mut queue = ComputeQueue::default();
    let (first, second) = (ask(&mut queue, 0, 100), ask(&mut queue, 0, 50));
    assert_eq!((queue.look(first, at(10)), queue.look(second, at(10))), (Some(at(100)), Some(at(50))));
    assert_eq!((queue.look(second, at(49)), queue.look(second, at(50))), (Some(at(50)), None));
    queue.leave(second, at(50));
    assert_eq!((queue.look(first, at(99)), queue.look(first, at(100))), (Some(at(100)), None));
    assert_eq!(queue.look(second, at(50)), None, "it is none of them any more");
    assert_eq!(queue.first(), Some(first), "who is late says itself that it leaves");
}

#[test]
fn one_that_vanished_is_lost_at_its_deadline_and_the_next_has_its_turn() {
    let mut queue = ComputeQueue::default();
    let (lost, second, third) = (ask(&mut queue, 0, 100), ask(&mut queue, 0, 1_000), ask(&mut queue, 0, 1_000));
    assert_eq!(queue.look(third, at(99)), Some(at(100)));
    assert_eq!(queue.first(), Some(lost));
    assert_eq!(queue.look(third, at(100)), Some(at(1_000)));
    assert_eq!(queue.first(), Some(second), "whoever looks, the next begins");
    queue.leave(lost, at(101));
    assert_eq!(queue.first(), Some(second), "the lost one ends after all");
}

#[test]
fn several_that_vanished_are_lost_at_once() {
    let mut queue = ComputeQueue::default();
    ask(&mut queue, 0, 100);
    ask(&mut queue, 0, 90);
    let last = ask(&mut queue, 0, 1_000);
    assert_eq!(queue.look(last, at(95)), Some(at(100)), "of those who wait only the first's end counts");
    assert_eq!((queue.look(last, at(100)), queue.first()), (Some(at(1_000)), Some(last)));
}

#[test]
fn one_without_a_deadline_is_lost_a_quarter_of_an_hour_after_its_turn_began() {
    let mut queue = ComputeQueue::default();
    let never = Timestamp::from_millis(0).after(Ttl::Forever);
    let mut ask = |now| queue.ask(at(now), never).expect("there is room");
    let (first, second, third) = (ask(0), ask(0), ask(0));
    assert_eq!(queue.look(first, at(0)), Some(never), "whoever computes waits for nobody");
    assert_eq!(queue.look(second, at(0)), Some(at(LONGEST)));
    queue.leave(first, at(LONGEST - 1));
    assert_eq!(queue.look(third, at(LONGEST)), Some(at(2 * LONGEST - 1)), "the second began late, and has its time");
    assert_eq!(queue.first(), Some(second));
    assert_eq!(queue.look(third, at(2 * LONGEST - 1)), Some(never));
    assert_eq!(queue.first(), Some(third));
}

#[test]
fn one_who_asks_where_nobody_was_has_its_whole_time() {
    let mut queue = ComputeQueue::default();
    let never = Timestamp::from_millis(0).after(Ttl::Forever);
    let first = ask(&mut queue, 0, 100);
    queue.leave(first, at(1));
    queue.ask(at(LONGEST), never).expect("there is room");
    let second = queue.ask(at(LONGEST), never).expect("there is room");
    assert_eq!(queue.look(second, at(LONGEST)), Some(at(2 * LONGEST)));
}

#[test]
fn a_look_for_nobody_takes_out_what_is_lost() {
    let mut queue = ComputeQueue::default();
    let first = ask(&mut queue, 0, 100);
    assert_eq!((queue.look(0, at(99)), queue.first()), (None, Some(first)));
    assert_eq!((queue.look(0, at(100)), queue.first()), (None, None));
}
