//! Where places are, and how long bytes take between them.

use super::random::Random;

/// Latitude and longitude of large cities, the busiest first.
const CITIES: [(f64, f64); 24] = [
    (39.0, -77.5),
    (50.1, 8.7),
    (37.4, -122.1),
    (51.5, -0.1),
    (1.3, 103.8),
    (35.7, 139.7),
    (41.9, -87.6),
    (-23.5, -46.6),
    (19.1, 72.9),
    (48.9, 2.4),
    (-33.9, 151.2),
    (32.8, -96.8),
    (52.4, 4.9),
    (28.6, 77.2),
    (22.3, 114.2),
    (33.7, -84.4),
    (37.6, 127.0),
    (59.3, 18.1),
    (-26.2, 28.0),
    (25.3, 55.3),
    (45.5, -73.6),
    (40.4, -3.7),
    (-6.2, 106.8),
    (6.5, 3.4),
];

pub struct Map {
    at: Vec<(f64, f64)>,
    /// By pairs of places, in ms.
    round_trips: Vec<f64>,
}

impl Map {
    /// The cities, and towns around them.
    pub fn new(places: usize, random: &mut Random) -> Self {
        let at = (0..places).map(|place| {
            let (latitude, longitude) = CITIES[place % CITIES.len()];
            let off = if place < CITIES.len() { 0.0 } else { 12.0 };
            (latitude + off * (random.unit() - 0.5), longitude + 2.0 * off * (random.unit() - 0.5))
        });
        let at: Vec<_> = at.collect();
        let pairs = at.iter().flat_map(|a| at.iter().map(|b| round_trip(*a, *b)));
        Self { round_trips: pairs.collect(), at }
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// There and back, in ms.
    pub fn round_trip(&self, a: usize, b: usize) -> f64 {
        self.round_trips[a * self.at.len() + b]
    }

    /// On which half of the world a place lies: a partition cuts the one off.
    pub fn is_east(&self, place: usize) -> bool {
        self.at[place].1 > 30.0
    }
}

/// Light in glass, by a way 1.4 times as long as the shortest, and 2 ms for what lies at its ends.
fn round_trip((a, x): (f64, f64), (b, y): (f64, f64)) -> f64 {
    let (a, b, turn) = (a.to_radians(), b.to_radians(), (x - y).to_radians());
    let angle = (a.sin() * b.sin() + a.cos() * b.cos() * turn.cos()).clamp(-1.0, 1.0).acos();
    2.0 + 1.4 * 2.0 * (angle * 6_371.0) / 200.0
}
