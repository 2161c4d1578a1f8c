//! The fields of stored responses in the runtime's own form, kept from hit to hit: making them is what a hit costs most.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use nearcache::http::exchange::{ClientResponse, Record};
use wasm_bindgen::JsValue;

use crate::host::{self, Host};
use crate::store::Body;

/// By the address of a record, which stays its own as long as its `Weak` is here.
#[derive(Default)]
pub(crate) struct Heads(RefCell<HashMap<*const Record, CachedHeaders>>);

struct CachedHeaders {
    record: Weak<Record>,
    /// What the answer said beside the record's fields, flat: age and `Cache-Status`, which change by the second.
    beside: String,
    headers: JsValue,
}

/// So many are kept, at some 2 KB each; then all are let go, and the hot ones come back.
const MOST: usize = 512;

impl Heads {
    /// A `Headers` of an answer, which nobody may change.
    pub fn of(&self, host: &Host, answer: &ClientResponse<Body>) -> JsValue {
        let beside = host::flatten(&answer.fields);
        let Some(record) = &answer.record else { return host.headers(&beside) };
        let mut kept = self.0.borrow_mut();
        let known = kept.get(&Rc::as_ptr(record)).filter(|head| head.beside == beside);
        if let Some(head) = known {
            return head.headers.clone();
        }
        let headers = host.headers(&host::flatten(&answer.to_fields()));
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(
            Rc::as_ptr(record),
            CachedHeaders { record: Rc::downgrade(record), beside, headers: headers.clone() },
        );
        headers
    }

    /// Lets go of those whose records are gone.
    pub fn sweep(&self) {
        self.0.borrow_mut().retain(|_, head| head.record.strong_count() > 0);
    }
}
