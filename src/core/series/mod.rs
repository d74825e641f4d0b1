//! Metric series for drawing: minima and maxima by column at any zoom, smoothing, and when each step was.
//!
//! Pure values. Called by the screens' logic.

mod clock;
mod points;
mod pyramid;
mod smooth;

pub use clock::Clock;
pub use points::{Point, Series};
pub use pyramid::{Column, MinMax};
pub use smooth::{Smoother, smoothed};

/// Edges of so many columns of the same width between two places.
pub fn edges((from, to): (f64, f64), columns: usize) -> Vec<f64> {
    (0..=columns).map(|c| from + (to - from) * c as f64 / columns.max(1) as f64).collect()
}
