//! The part of the steps that a chart shows: zoom and pan.

/// Steps of the narrowest window.
const LEAST: f64 = 4.0;

/// A part of the steps. As the run goes on, a window at its end moves along.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// Steps wide; everything when `None`.
    width: Option<f64>,
    /// Where it ends; at the newest step when `None`.
    end: Option<f64>,
}

impl Window {
    /// First and last step shown of a series over `span`.
    pub fn over(&self, span: (f64, f64)) -> (f64, f64) {
        let (low, high) = span;
        let Some(width) = self.width.filter(|w| *w < high - low) else { return span };
        let end = self.end.unwrap_or(high).clamp(low + width, high);
        (end - width, end)
    }

    /// How many times nearer than everything.
    pub fn factor(&self, span: (f64, f64)) -> f64 {
        let (from, to) = self.over(span);
        if to > from { (span.1 - span.0) / (to - from) } else { 1.0 }
    }

    /// Half as much, around a step; the end of a window that follows the run is kept.
    pub fn zoom_in(&mut self, span: (f64, f64), around: Option<f64>) {
        let (from, to) = self.over(span);
        let half = (to - from) / 2.0;
        if half >= LEAST {
            self.resize(span, (from, to), half, around);
        }
    }

    /// Twice as much, around the same step.
    pub fn zoom_out(&mut self, span: (f64, f64), around: Option<f64>) {
        let (from, to) = self.over(span);
        let double = (to - from) * 2.0;
        // Roundings must not leave a window that is all but everything.
        if double >= (span.1 - span.0) * (1.0 - 1e-9) {
            *self = Self::default();
        } else {
            self.resize(span, (from, to), double, around);
        }
    }

    /// What lies between two steps, and no less than can be seen.
    pub fn show(&mut self, span: (f64, f64), (from, to): (f64, f64)) {
        let width = (to - from).max(LEAST);
        if width >= span.1 - span.0 {
            *self = Self::default();
        } else {
            self.width = Some(width);
            self.put(span, to.max(from + width));
        }
    }

    fn resize(&mut self, span: (f64, f64), (from, to): (f64, f64), width: f64, around: Option<f64>) {
        let old = to - from;
        self.width = Some(width);
        match around.filter(|a| (from..=to).contains(a)) {
            // The step keeps its place on the screen.
            Some(around) => self.put(span, around + (to - around) * width / old),
            None if self.end.is_none() => {}
            None => self.put(span, (from + to + width) / 2.0),
        }
    }

    fn put(&mut self, (low, high): (f64, f64), end: f64) {
        let width = self.width.unwrap_or(high - low);
        self.end = (end < high).then(|| end.max(low + width));
    }

    /// A quarter of the window to the left (-1) or right (1).
    pub fn pan(&mut self, span: (f64, f64), by: f64) {
        let (from, to) = self.over(span);
        if self.width.is_some() {
            self.put(span, to + by * (to - from) / 4.0);
        }
    }

    /// Moves as little as is needed to show a step.
    pub fn reveal(&mut self, span: (f64, f64), step: f64) {
        let (from, to) = self.over(span);
        if step < from {
            self.put(span, step + (to - from));
        } else if step > to {
            self.put(span, step);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_lies_within_the_data_whatever_is_done(
            low in 0..100u32, size in 0..100_000u32, grows in 0..100_000u32,
            doing in prop::collection::vec((0..6u8, 0.0..1.2f64), 0..40),
        ) {
            let mut span = (f64::from(low), f64::from(low + size));
            let mut window = Window::default();
            for (what, at) in doing {
                let around = (at < 1.0).then_some(span.0 + at * (span.1 - span.0));
                match what {
                    0 => window.zoom_in(span, around),
                    1 => window.zoom_out(span, around),
                    2 => window.pan(span, if at > 0.5 { 1.0 } else { -1.0 }),
                    4 => {
                        let from = span.0 + at.min(1.0) * (span.1 - span.0);
                        window.show(span, (from, span.1.min(from + 7.0)));
                    }
                    3 => window.reveal(span, span.0 + at.min(1.0) * (span.1 - span.0)),
                    _ => span.1 += f64::from(grows) * at,
                }
                let (from, to) = window.over(span);
                prop_assert!(span.0 - 1e-6 <= from && from <= to && to <= span.1, "{from} to {to} of {span:?}");
                prop_assert!(to - from >= LEAST.min(span.1 - span.0) - 1e-6);
            }
        }

        #[test]
        fn zooming_in_and_out_again_returns(
            size in 10..1_000_000u32, times in 1..20usize, at in prop::option::of(0.0..1.0f64),
        ) {
            let span = (1.0, 1.0 + f64::from(size));
            let around = at.map(|at| span.0 + at * (span.1 - span.0));
            let mut window = Window::default();
            let mut seen = Vec::new();
            for _ in 0..times {
                let before = window;
                window.zoom_in(span, around);
                if window != before {
                    seen.push(before.over(span));
                }
            }
            while let Some((from, to)) = seen.pop() {
                window.zoom_out(span, around);
                let (a, b) = window.over(span);
                prop_assert!((a - from).abs() < 1e-3 && (b - to).abs() < 1e-3, "{a} to {b}, not {from} to {to}");
            }
            prop_assert_eq!(window, Window::default());
        }
    }

    #[test]
    fn a_window_at_the_end_follows_the_run_and_one_elsewhere_stays() {
        let mut window = Window::default();
        window.zoom_in((0.0, 100.0), None);
        assert_eq!(window.over((0.0, 100.0)), (50.0, 100.0));
        assert_eq!(window.over((0.0, 140.0)), (90.0, 140.0));
        window.pan((0.0, 140.0), -1.0);
        assert_eq!(window.over((0.0, 140.0)), (77.5, 127.5));
        assert_eq!(window.over((0.0, 900.0)), (77.5, 127.5));
        (0..80).for_each(|_| window.pan((0.0, 900.0), 1.0));
        assert_eq!(window.over((0.0, 901.0)), (851.0, 901.0), "it follows again");
    }
}
