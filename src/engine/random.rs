//! Random numbers for spreading expiry: good enough for that, and for nothing secret.

/// At least 0 and below 1.
#[cfg(not(target_family = "wasm"))]
pub(super) fn random() -> f64 {
    use std::cell::Cell;
    use std::hash::{BuildHasher, Hasher, RandomState};

    thread_local! {
        // SplitMix64 (Steele, Lea, Flood 2014), begun where the standard library's hash maps begin.
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    let mixed = STATE.with(|state| {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = state.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    });
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// At least 0 and below 1.
#[cfg(target_family = "wasm")]
pub(super) fn random() -> f64 {
    js_sys::Math::random()
}
