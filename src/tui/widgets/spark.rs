//! A curve in one line of text.

use crate::tui::glyphs::Glyphs;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 4] = ['_', '.', '-', '^'];

/// The values, from lowest to highest, in at most `cells` signs; nothing where there is nothing to show.
pub fn line(values: &[Option<f64>], cells: usize, glyphs: &Glyphs) -> String {
    let finite = || values.iter().flatten().copied().filter(|v| v.is_finite());
    let (Some(low), Some(high)) = (finite().reduce(f64::min), finite().reduce(f64::max)) else {
        return String::new();
    };
    within((low, high), values, cells, glyphs)
}

/// The same between two fixed values.
pub fn within((low, high): (f64, f64), values: &[Option<f64>], cells: usize, glyphs: &Glyphs) -> String {
    let signs: &[char] = if glyphs.unicode { &BARS } else { &ASCII };
    let width = cells.min(values.len());
    let sign = |i: usize| {
        // The last value of each stretch, so that the end is the newest one.
        let at = (i + 1) * values.len() / width;
        let Some(value) = values.get(at.saturating_sub(1)).copied().flatten().filter(|v| v.is_finite()) else {
            return ' ';
        };
        let part = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        let at = (part * (signs.len() - 1) as f64).round() as usize;
        signs.get(at).copied().unwrap_or(' ')
    };
    (0..width).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], cells: usize, glyphs: &Glyphs) -> String {
        line(&values.iter().map(|v| Some(*v)).collect::<Vec<_>>(), cells, glyphs)
    }

    #[test]
    fn a_falling_curve_falls() {
        assert_eq!(of(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 8, &Glyphs::UNICODE), "█▇▆▅▄▃▂▁");
        assert_eq!(of(&[3.0, 2.0, 1.0, 0.0], 8, &Glyphs::ASCII), "^-._");
        assert_eq!(of(&[1.0, 1.0], 4, &Glyphs::UNICODE), "▅▅");
    }

    #[test]
    fn many_values_have_room_in_few_cells_and_none_need_none() {
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let text = of(&many, 10, &Glyphs::UNICODE);
        assert_eq!((text.chars().count(), text.chars().last()), (10, Some('█')));
        assert_eq!(of(&[], 10, &Glyphs::UNICODE), "");
        assert_eq!(of(&many, 0, &Glyphs::UNICODE), "");
        assert_eq!(line(&[None, Some(f64::NAN)], 5, &Glyphs::UNICODE), "");
        assert_eq!(line(&[None, Some(2.0)], 5, &Glyphs::ASCII), " -");
    }
}
