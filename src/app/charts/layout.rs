//! How the Train screen divides its lines.

/// Lines of each part, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Status, step, time left.
    pub head: u16,
    /// Progress of the run.
    pub bar: u16,
    /// What the charts show: axis, zoom, smoothing.
    pub state: u16,
    /// The charts.
    pub charts: u16,
    /// The newest events.
    pub tail: u16,
}

impl Layout {
    /// For so many lines.
    pub fn of(height: u16, full: bool) -> Self {
        let head = height.min(1);
        let bar = u16::from(height >= 4 && !full);
        let state = u16::from(height >= 6);
        let tail = if height >= 12 && !full { (height / 5).clamp(2, 8) } else { 0 };
        Self { head, bar, state, charts: height - head - bar - state - tail, tail }
    }

    /// Lines of the body of a screen, which is what header and footer leave.
    pub fn body(height: u16) -> u16 {
        height - u16::from(height >= 3) - u16::from(height >= 5) - u16::from(height >= 12)
    }
}
