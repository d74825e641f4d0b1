//! Metric series for drawing: minima and maxima by column at any zoom, smoothing.
//!
//! Pure values. Called by the screens' logic.

mod levels;
mod smooth;

pub use levels::{MinMax, Series};
pub use smooth::{Smoother, smoothed};
