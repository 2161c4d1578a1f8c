//! Messages of invalidation.
#![cfg(feature = "tier")]

#[path = "common/random.rs"]
mod random;

use nearcache::tier::message::{Action, Follower, Heed, Message, MessageError, Publisher, Purged};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn tag(name: &str) -> Purged {
    Purged::Tag(name.to_owned())
}

#[test]
fn a_message_of_another_service_is_read_and_ours_is_as_documented() {
    let text =
        r#"{"v":1,"source":"orders-7f3a","seq":12,"at":1774000000000,"entity":"order","id":"42","action":"update"}"#;
    let message = Message::parse(text).unwrap();
    assert_eq!(message.to_json(), text);
    assert_eq!(message.purged(), tag("order:42"));
    let plain = Message::parse(r#" {"action":"delete", "entity":"order", "v":1, "more": {"x": []}} "#).unwrap();
    assert_eq!(plain, Message::new("order", None, Action::Delete));
    assert_eq!(plain.purged(), tag("order"));
    assert_eq!(Message::new("order", Some("1".into()), Action::Create).purged(), tag("order"));
    assert_eq!(Message::parse(&Message::clear().to_json()).unwrap().purged(), Purged::Everything);
}

#[test]
fn tags_urls_and_prefixes_are_purged_or_made_stale() {
    for (text, purged, soft) in [
        (r#"{"v":1,"tag":"news","action":"delete"}"#, tag("news"), false),
        (r#"{"v":1,"tag":"news","action":"expire"}"#, tag("news"), true),
        (r#"{"v":1,"url":"example.com/a?b","action":"update"}"#, Purged::Url("example.com/a?b".into()), false),
        (r#"{"v":1,"prefix":"/img/","action":"expire"}"#, Purged::Prefix("/img/".into()), true),
        (r#"{"v":1,"entity":"order","id":"1","action":"expire"}"#, tag("order:1"), true),
        (r#"{"v":1,"action":"expire"}"#, Purged::Everything, true),
    ] {
        let message = Message::parse(text).unwrap();
        assert_eq!((message.purged(), message.is_soft(), message.to_json().as_str()), (purged, soft, text));
    }
}

#[test]
fn what_is_no_message_is_refused_with_what_is_wrong() {
    let refused = |text: &str| Message::parse(text).unwrap_err();
    assert_eq!(refused(&" ".repeat(5_000)), MessageError::TooLong);
    assert_eq!(refused(r#"{"v":2,"action":"clear"}"#), MessageError::Version(2));
    for text in [
        "",
        "[]",
        "null",
        r#"{"action":"clear"}"#,
        r#"{"v":1}"#,
        r#"{"v":1,"entity":"a","action":"explode"}"#,
        r#"{"v":1,"entity":"a","action":"clear"}"#,
        r#"{"v":1,"action":"update"}"#,
        r#"{"v":1,"tag":"a","action":"clear"}"#,
        r#"{"v":1,"tag":"a","url":"b","action":"delete"}"#,
        r#"{"v":1,"tag":"a","id":"b","action":"delete"}"#,
        r#"{"v":1,"url":"","action":"delete"}"#,
        r#"{"v":1,"id":"1","action":"clear"}"#,
        r#"{"v":1,"entity":"","action":"update"}"#,
        r#"{"v":1,"entity":"a\u0000","action":"update"}"#,
        r#"{"v":1,"entity":7,"action":"update"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":"1"}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":0}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"s","seq":9007199254740992}"#,
        r#"{"v":1,"entity":"a","action":"update","source":"","seq":1}"#,
    ] {
        assert!(matches!(refused(text), MessageError::Malformed(_)), "{text}");
    }
}

#[test]
fn lost_messages_are_noticed_and_repeated_ones_ignored() {
    let mut publisher = Publisher::new("a");
    let mut publish = || publisher.publish(Message::new("order", Some("1".into()), Action::Update), 7);
    let messages: Vec<_> = (0..6).map(|_| publish()).collect();
    let mut follower = Follower::default();
    let purge = Heed::Purge { purged: tag("order:1"), soft: false };
    assert_eq!(follower.handle(&messages[0]), purge);
    assert_eq!(follower.handle(&messages[1]), purge);
    assert_eq!(follower.handle(&messages[1]), Heed::Nothing);
    assert_eq!(follower.handle(&messages[4]), Heed::Clear { missed: Some((3, 4)) });
    assert_eq!(follower.handle(&messages[3]), Heed::Nothing, "that late it is among what was cleared");
    assert_eq!(follower.handle(&messages[5]), purge);
    assert_eq!(follower.gaps(), 1);
    assert_eq!(follower.handle_reconnected(), Heed::Clear { missed: None });
    assert_eq!(follower.handle_refused(), Heed::Clear { missed: None });
    assert_eq!(follower.handle(&Message::clear()), Heed::Clear { missed: None });
}

#[test]
fn any_loss_in_any_order_of_sources_leads_to_a_purge_or_a_clear() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..200 {
        let mut publishers: Vec<_> = (0..3).map(|n| Publisher::new(format!("s{n}"))).collect();
        let mut follower = Follower::default();
        // By source: what was lost since it was heard last.
        let mut lost = [0; 3];
        let mut heard = [false; 3];
        for id in 0..100 {
            let source = random.below(3) as usize;
            let message = publishers[source].publish(Message::new("e", Some(id.to_string()), Action::Update), 0);
            if random.one_in(5) {
                lost[source] += u64::from(heard[source]);
                continue;
            }
            match follower.handle(&message) {
                Heed::Purge { purged, .. } => assert_eq!((purged, lost[source]), (tag(&format!("e:{id}")), 0)),
                Heed::Clear { missed: Some((first, last)) } => assert_eq!(last + 1 - first, lost[source]),
                other => panic!("{other:?}"),
            }
            (lost[source], heard[source]) = (0, true);
        }
    }
}
