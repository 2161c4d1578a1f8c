//! The public suite of tests for HTTP caches (github.com/http-tests/cache-tests) over the exchange, in virtual time:
//! its client, its server and its judge, as its test-engine has them. `scripts/cache-tests` runs it.
//!
//! `cargo run --example cache-tests -- SUITE.json EXPECTED.json EDITION [ID…]`; with ids it prints what was said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, dead_code)]

mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use nearcache::http::exchange::{Failure, FetchHead, Request};
use nearcache::http::rule::Rule;
use serde_json::Value;
use world::{Reception, Reply, World, joined};

/// Why a test failed: while it was set up, or in what it is about.
struct Failed {
    setup: bool,
    message: String,
}

struct Seen {
    request_num: i64,
    method: String,
    fields: HeaderMap,
    saved: Vec<(String, String)>,
}

type Seens = Rc<RefCell<Vec<Seen>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [suite, expected, edition, ids @ ..] = arguments.as_slice() else {
        panic!("usage: cache-tests SUITE.json EXPECTED.json EDITION [ID…]");
    };
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(suite).expect("the suite")).unwrap();
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(expected).expect("what is expected")).unwrap();
    let expected = &expected[edition.as_str()];
    let mut results: BTreeMap<String, (String, Result<(), Failed>)> = BTreeMap::new();
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in suite.as_array().unwrap().iter().flat_map(|set| set["tests"].as_array().unwrap()) {
        let id = text(&test["id"]);
        if test["browser_only"] == true || !(ids.is_empty() || ids.contains(&id)) {
            continue;
        }
        let kind = test["kind"].as_str().unwrap_or("required").to_owned();
        let needs = test["depends_on"].as_array().cloned().unwrap_or_default();
        depends.insert(id.clone(), needs.iter().map(text).collect());
        results.insert(id, (kind, run(test, !ids.is_empty())));
    }
    report(&results, &depends, expected, ids.is_empty());
}

fn report(
    results: &BTreeMap<String, (String, Result<(), Failed>)>,
    depends: &BTreeMap<String, Vec<String>>,
    expected: &Value,
    all: bool,
) {
    // As the suite counts: what depends on a test that fails has not passed.
    let passed = |id: &String| -> bool {
        let ok = |id: &String| results.get(id).is_none_or(|(_, result)| result.is_ok());
        ok(id) && depends[id].iter().all(ok)
    };
    let mut wrong = 0;
    for kind in ["required", "optimal", "check"] {
        let of_kind: Vec<_> = results.iter().filter(|(_, (of, _))| of == kind).collect();
        let good = of_kind.iter().filter(|(id, _)| passed(id)).count();
        println!("{kind}: {good} of {}", of_kind.len());
        for (id, (_, result)) in of_kind {
            // What only the runtime refuses passes here.
            let why = expected[id].as_str().is_some_and(|why| !why.starts_with("workerd"));
            match (passed(id), why) {
                (false, false) if kind != "check" || !all => {
                    wrong += 1;
                    let message = match result {
                        Err(failed) if failed.setup => format!("(setup) {}", failed.message),
                        Err(failed) => failed.message.clone(),
                        Ok(()) => format!("depends on {:?}", depends[id]),
                    };
                    println!("  fails: {id}: {message}");
                }
                (true, true) => {
                    wrong += 1;
                    println!("  passes, though it is expected to fail: {id}");
                }
                _ => {}
            }
        }
    }
    std::process::exit(i32::from(wrong > 0));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn run(test: &Value, print: bool) -> Result<(), Failed> {
    let requests: Vec<Value> = test["requests"].as_array().unwrap().clone();
    let uuid = "00000000-0000-4000-8000-000000000000";
    let seen: Seens = Rc::default();
    let world = World::new(Rule::default(), origin(requests.clone(), uuid, seen.clone(), print));
    let mut receptions: Vec<Reception> = Vec::new();
    for (index, config) in requests.iter().enumerate() {
        let request = client_request(test, config, index, uuid, receptions.last());
        if print {
            println!("=> {} {} {:?}", request.method, request.target, request.fields);
        }
        let reception = world.ask(request);
        if print {
            println!("<= {} {:?}", reception.status, reception.fields);
        }
        receptions.push(reception);
        check_response(config, index, receptions.last().unwrap(), uuid)?;
        if config["pause_after"] == true {
            world.pass(3000);
        }
    }
    check_server(&requests, &receptions, &seen.borrow())
}

fn client_request(test: &Value, config: &Value, index: usize, uuid: &str, previous: Option<&Reception>) -> Request {
    let mut fields = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), latin(value));
    };
    add("pragma", "foo");
    add("cache-control", "nothing-to-see-here");
    for header in config["request_headers"].as_array().into_iter().flatten() {
        let name = text(&header[0]);
        let magic = config["magic_ims"] == true && name.eq_ignore_ascii_case("if-modified-since");
        let value = match (&header[1], magic) {
            (Value::Number(delta), true) => {
                let now: i64 = previous.unwrap().field("server-now").unwrap().parse().unwrap();
                http_date(now, delta.as_i64().unwrap(), config, &name)
            }
            (value, _) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        add(&name, &value);
    }
    add("test-name", &text(&test["name"]).chars().filter(char::is_ascii).collect::<String>());
    add("test-id", &text(&test["id"]));
    add("req-num", &(index + 1).to_string());
    for (name, value) in [("accept", "*/*"), ("user-agent", "node"), ("accept-encoding", "gzip, deflate")] {
        add(name, value);
    }
    if !fields.contains_key("accept-language") {
        fields.insert("accept-language", HeaderValue::from_static("*"));
    }
    let mut target = format!("/test/{uuid}");
    if let Some(name) = config["filename"].as_str() {
        target.push_str(&format!("/{name}"));
    }
    if let Some(query) = config["query_arg"].as_str() {
        target.push_str(&format!("?{query}"));
    }
    let method = Method::from_bytes(config["request_method"].as_str().unwrap_or("GET").as_bytes()).unwrap();
    Request { method, scheme: "http".to_owned(), host: "localhost".to_owned(), target, fields }
}

fn origin(requests: Vec<Value>, uuid: &str, seen: Seens, print: bool) -> impl FnMut(&FetchHead, u64) -> Reply + use<> {
    let uuid = uuid.to_owned();
    let mut sent: Vec<(usize, HeaderMap)> = Vec::new();
    move |head, now| {
        if print {
            println!("  -> {} {} {:?}", head.method, head.target, head.fields);
        }
        let server_num = seen.borrow().len() + 1;
        let client_num: usize = joined(&head.fields, "req-num").and_then(|num| num.parse().ok()).unwrap_or(server_num);
        let config = &requests[client_num - 1];
        let after = config["response_pause"].as_u64().unwrap_or(0) * 1000;
        let now = now + after;
        let mut status = config["response_status"][0].as_u64().unwrap_or(200) as u16;
        if config["expected_type"].as_str().is_some_and(|kind| kind.ends_with("validated")) {
            // As it was sent the first time: the suite's server resolves dates in place.
            let previous = |name: &str| {
                let earlier = sent.iter().find(|(num, _): &&(usize, HeaderMap)| *num == client_num - 1);
                match earlier {
                    Some((_, fields)) => joined(fields, name),
                    None => {
                        let mut headers = requests[client_num - 2]["response_headers"].as_array().into_iter().flatten();
                        let of_name = |header: &&Value| text(&header[0]).eq_ignore_ascii_case(name);
                        headers.rfind(of_name).map(|header| text(&header[1]))
                    }
                }
            };
            let validated =
                [("last-modified", "if-modified-since"), ("etag", "if-none-match")].iter().any(|(of, by)| {
                    let value = previous(of);
                    value.is_some() && joined(&head.fields, by) == value
                });
            status = if validated { 304 } else { 599 };
        }
        let mut fields = HeaderMap::new();
        let mut saved: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: &str| {
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), latin(value));
        };
        set("server-base-url", &head.target);
        set("server-request-count", &server_num.to_string());
        set("client-request-count", &client_num.to_string());
        set("server-now", &now.to_string());
        for header in config["response_headers"].as_array().into_iter().flatten() {
            let name = text(&header[0]);
            let value = resolve(header, config, now, &head.target);
            set(&name, &value);
            if header.get(2).is_none_or(|kept| kept == true) {
                saved.retain(|(known, _)| *known != name);
                saved.push((name.clone(), String::new()));
            }
        }
        for (name, value) in &mut saved {
            *value = joined(&fields, name).unwrap();
        }
        if !fields.contains_key("content-type") {
            fields.insert("content-type", HeaderValue::from_static("text/plain"));
        }
        if !fields.contains_key("date") {
            fields.insert("date", latin(&httpdate(now / 1000)));
        }
        sent.push((client_num, fields.clone()));
        seen.borrow_mut().push(Seen {
            request_num: client_num as i64,
            method: head.method.to_string(),
            fields: head.fields.clone(),
            saved,
        });
        let numbers: Vec<_> = seen.borrow().iter().map(|seen| seen.request_num.to_string()).collect();
        fields.insert("request-numbers", latin(&numbers.join(" ")));
        if config["disconnect"] == true {
            return Reply::Failure(Failure::Unreachable("it hung up".to_owned()));
        }
        let mut body = match status {
            204 | 304 => String::new(),
            _ if head.method == Method::HEAD => String::new(),
            _ => config["response_body"].as_str().filter(|body| !body.is_empty()).unwrap_or(&uuid).to_owned(),
        };
        // A client reads no more than was announced.
        let announced = joined(&fields, "content-length").and_then(|length| length.parse().ok());
        body.truncate(announced.unwrap_or(usize::MAX));
        if !matches!(status, 204 | 304) && head.method != Method::HEAD && !fields.contains_key("content-length") {
            fields.insert("content-length", HeaderValue::from(body.len()));
        }
        if print {
            println!("  <- {status} {fields:?}");
        }
        Reply::Response { status, fields, body: body.into_bytes(), after }
    }
}

fn resolve(header: &Value, config: &Value, now: u64, base: &str) -> String {
    let name = text(&header[0]).to_ascii_lowercase();
    let is_date = ["date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"];
    if let (true, Some(delta)) = (is_date.contains(&name.as_str()), header[1].as_i64()) {
        return http_date(now as i64, delta, config, &name);
    }
    let value = header[1].as_str().map_or_else(|| header[1].to_string(), str::to_owned);
    if ["location", "content-location"].contains(&name.as_str()) && config["magic_locations"] == true {
        return if value.is_empty() { base.to_owned() } else { format!("{base}/{value}") };
    }
    value
}

fn http_date(now_ms: i64, delta: i64, config: &Value, name: &str) -> String {
    let seconds = u64::try_from(now_ms / 1000 + delta).unwrap();
    let rfc850 = config["rfc850date"].as_array().is_some_and(|names| names.iter().any(|known| known == name));
    let date = httpdate(seconds);
    if !rfc850 {
        return date;
    }
    let long = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let day = long.iter().find(|day| day.starts_with(&date[..3])).unwrap();
    format!("{day}, {}-{}-{} {} GMT", &date[5..7], &date[8..11], &date[14..16], &date[17..25])
}

fn httpdate(seconds: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

fn latin(value: &str) -> HeaderValue {
    HeaderValue::from_bytes(&value.chars().map(|char| char as u8).collect::<Vec<_>>()).unwrap()
}

fn is_setup(config: &Value, member: &str) -> bool {
    config["setup"] == true
        || config["setup_tests"].as_array().is_some_and(|members| members.iter().any(|known| known == member))
}

fn check(setup: bool, holds: bool, message: impl Into<String>) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed { setup, message: message.into() }) }
}

fn check_response(config: &Value, index: usize, got: &Reception, uuid: &str) -> Result<(), Failed> {
    let number = index as i64 + 1;
    let res_num: Option<i64> = got.field("server-request-count").and_then(|num| num.parse().ok());
    let setup = |member: &str| is_setup(config, member);
    match config["expected_type"].as_str() {
        Some("cached") => check(
            setup("expected_type"),
            (got.status == 304 && res_num.is_none()) || res_num.is_some_and(|num| num < number),
            format!("Response {number} does not come from cache"),
        )?,
        Some("not_cached") => {
            check(setup("expected_type"), res_num == Some(number), format!("Response {number} comes from cache"))?;
        }
        _ => {}
    }
    let status = got.status.as_u16();
    if let Some(expected) = config.get("expected_status") {
        if let Some(expected) = expected.as_u64() {
            let message = format!("Response {number} status is {status}, not {expected}");
            check(setup("expected_status"), u64::from(status) == expected, message)?;
        }
    } else if let Some(expected) = config["response_status"][0].as_u64() {
        check(true, u64::from(status) == expected, format!("Response {number} status is {status}, not {expected}"))?;
    } else if status == 599 {
        check(
            setup("expected_type"),
            false,
            format!("Request {number} should have been conditional, but it was not."),
        )?;
    } else {
        check(true, status == 200, format!("Response {number} status is {status}, not 200"))?;
    }
    let present = setup("expected_response_headers");
    for header in config["expected_response_headers"].as_array().into_iter().flatten() {
        let name = header.as_str().map_or_else(|| text(&header[0]), str::to_owned);
        let value = got.field(&name);
        if header.is_string() || header.as_array().is_some_and(|parts| parts.len() > 2) {
            check(present, value.is_some(), format!("Response {number} {name} header not present."))?;
        }
        match header.as_array().map(Vec::as_slice) {
            Some([_, operator, of]) if operator == "=" => {
                let other = got.field(of.as_str().unwrap());
                check(present, value == other, format!("Response {number} {name} is {value:?}, not {other:?}"))?;
            }
            Some([_, _, least]) => {
                let parsed = value.clone().and_then(|value| value.parse::<i64>().ok());
                let holds = parsed.is_some_and(|value| value > least.as_i64().unwrap());
                check(present, holds, format!("Response {number} {name} is {value:?}, not bigger than {least}"))?;
            }
            Some([_, _]) => {
                let now = got.field("server-now").and_then(|now| now.parse().ok()).unwrap_or(0);
                let expected = resolve(header, config, now, &got.field("server-base-url").unwrap_or_default());
                let message = format!("Response {number} header {name} is {value:?}, not {expected}");
                check(present, value == Some(expected), message)?;
            }
            _ => {}
        }
    }
    let missing = setup("expected_response_headers_missing");
    for header in config["expected_response_headers_missing"].as_array().into_iter().flatten() {
        if let Some(name) = header.as_str() {
            let found = got.field(name);
            check(missing, found.is_none(), format!("Response {number} has {name}: {found:?}"))?;
        }
    }
    for _ in config["expected_interim_responses"].as_array().into_iter().flatten() {
        check(setup("expected_interim_responses"), false, "there are no interim responses here")?;
    }
    let body = String::from_utf8_lossy(&got.body);
    if config["check_body"] == false {
        return Ok(());
    }
    if let Some(expected) = config.get("expected_response_text") {
        return match expected.as_str() {
            Some(expected) => {
                check(setup("expected_response_text"), body == expected, format!("body is {body:?}, not {expected:?}"))
            }
            None => Ok(()),
        };
    }
    if let Some(expected) = config["response_body"].as_str() {
        return check(true, body == expected, format!("body is {body:?}, not {expected:?}"));
    }
    if !matches!(status, 204 | 304) && config["request_method"] != "HEAD" {
        return check(true, body == uuid, format!("Response {number} body is {body:?}, not the uuid"));
    }
    Ok(())
}

fn check_server(requests: &[Value], receptions: &[Reception], seen: &[Seen]) -> Result<(), Failed> {
    let mut at = 0;
    for (index, config) in requests.iter().enumerate() {
        let number = index as i64 + 1;
        let got = &receptions[index];
        let server = seen.get(at);
        let setup = |member: &str| is_setup(config, member);
        let kind = config["expected_type"].as_str();
        if kind == Some("cached") {
            continue;
        }
        if kind == Some("not_cached") {
            let holds = server.is_some_and(|seen| seen.request_num == number);
            check(setup("expected_type"), holds, format!("Response {number} comes from cache"))?;
        }
        at += 1;
        let validating = match kind {
            Some("etag_validated") => Some("if-none-match"),
            Some("lm_validated") => Some("if-modified-since"),
            _ => None,
        };
        if let Some(field) = validating {
            let Some(seen) = server else {
                return check(setup("expected_type"), false, format!("request {number} wasn't sent to server"));
            };
            let holds = seen.fields.contains_key(field);
            check(setup("expected_type"), holds, format!("request {number} doesn't have {field}"))?;
        }
        let present = setup("expected_request_headers");
        for header in config["expected_request_headers"].as_array().into_iter().flatten() {
            let name = header.as_str().map_or_else(|| text(&header[0]), str::to_owned);
            let value = server.and_then(|seen| joined(&seen.fields, &name));
            let holds = match header.as_str() {
                Some(_) => value.is_some(),
                None => value.as_deref() == header[1].as_str(),
            };
            check(present, holds, format!("Request {number} header {name} is {value:?}, not as in {header}"))?;
        }
        let missing = setup("expected_request_headers_missing");
        for header in config["expected_request_headers_missing"].as_array().into_iter().flatten() {
            let name = header.as_str().map_or_else(|| text(&header[0]), str::to_owned);
            let value = server.and_then(|seen| joined(&seen.fields, &name));
            let holds = match header.as_str() {
                Some(_) => value.is_none(),
                None => value.as_deref() != header[1].as_str(),
            };
            check(missing, holds, format!("Request {number} header {name} is {value:?}"))?;
        }
        let Some(server) = server else { continue };
        for (name, value) in server.saved.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date")) {
            let received = got.field(name);
            let message = format!("Response {number} header {name} is {received:?}, not {value:?}");
            check(true, received.as_ref() == Some(value), message)?;
        }
        if let Some(method) = config["expected_method"].as_str() {
            let message = format!("Request {number} had method {}, not {method}", server.method);
            check(setup("expected_method"), server.method == method, message)?;
        }
    }
    Ok(())
}
