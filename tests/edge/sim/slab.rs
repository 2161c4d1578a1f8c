//! Things under way by numbers that are never used twice, and a map of numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Things by id: a place and how often that was used before.
pub struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(u32, u32);

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> Id {
        match self.free.pop() {
            Some(place) => {
                let (uses, held) = &mut self.places[place as usize];
                *held = Some(value);
                Id(place, *uses)
            }
            None => {
                self.places.push((0, Some(value)));
                Id(self.places.len() as u32 - 1, 0)
            }
        }
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let (uses, held) = &mut self.places[id.0 as usize];
        held.as_mut().filter(|_| *uses == id.1)
    }

    pub fn remove(&mut self, id: Id) -> Option<T> {
        let (uses, held) = &mut self.places[id.0 as usize];
        if *uses != id.1 {
            return None;
        }
        let value = held.take()?;
        *uses += 1;
        self.free.push(id.0);
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// A hash of one number, the same in each run.
#[derive(Clone, Default)]
pub struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;
