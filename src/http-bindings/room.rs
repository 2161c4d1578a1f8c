//! Room for bodies on their way into memory.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::proxy::Proxy;

/// Room for a body in memory, out of what all that are on their way into the store may take: as long as anybody needs the bytes, though
/// its trip be over. Dropped, it is given back: the garbage collector does that too, where its request is gone.
#[wasm_bindgen]
pub struct Room {
    proxy: Rc<Proxy>,
    limit: u64,
    taken: Cell<u64>,
}

impl Room {
    /// For a body of this length, if it is known, and of so many bytes at the most; `None` if there is none.
    pub(crate) fn of(proxy: &Rc<Proxy>, announced: Option<u64>, limit: u64) -> Option<Self> {
        let room = Self { proxy: proxy.clone(), limit, taken: Cell::new(0) };
        room.reaches(announced.unwrap_or(0)).then_some(room)
    }

    fn reaches(&self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.taken.get());
        let fits = bytes <= self.limit && self.proxy.flights.take(more);
        if fits {
            self.taken.set(self.taken.get() + more);
        }
        fits
    }
}

#[wasm_bindgen]
impl Room {
    /// So many bytes of the body have been read by now; whether they may be kept.
    pub fn grow(&self, read: f64) -> bool {
        self.reaches(read as u64)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.proxy.flights.give_back(self.taken.get());
    }
}
