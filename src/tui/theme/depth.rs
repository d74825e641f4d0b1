//! How many colours the terminal shows, and the nearest it has to a wanted one.

use ratatui::style::{Color, Modifier, Style};

/// Colour depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// `NO_COLOR`: only bold, reverse and the like.
    None,
    /// The terminal's 16.
    Sixteen,
    /// The 256 of xterm.
    TwoFiftySix,
    /// 24 bits.
    True,
}

impl Depth {
    /// From the environment: `NO_COLOR` (<https://no-color.org>), `COLORTERM`, `TERM`.
    pub fn detect(var: impl Fn(&str) -> Option<String>) -> Self {
        let term = var("TERM").unwrap_or_default();
        if var("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            Self::None
        } else if var("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit") || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256") || term.starts_with("tmux") || term.starts_with("alacritty") {
            Self::TwoFiftySix
        } else {
            Self::Sixteen
        }
    }

    /// The nearest style that this depth has.
    pub fn reduce(self, mut style: Style) -> Style {
        if self == Self::None {
            if style.bg.is_some_and(|c| c != Color::Reset) {
                style = style.add_modifier(Modifier::REVERSED);
            }
            (style.fg, style.bg) = (None, None);
            return style;
        }
        style.fg = style.fg.map(|c| self.color(c));
        style.bg = style.bg.map(|c| self.color(c));
        style
    }

    fn color(self, color: Color) -> Color {
        let rgb = match color {
            Color::Rgb(r, g, b) => (r, g, b),
            Color::Indexed(i) if i >= 16 && self == Self::Sixteen => xterm(i),
            _ => return color,
        };
        match self {
            Self::True | Self::None => color,
            Self::TwoFiftySix => Color::Indexed(closest(rgb, 16..=255)),
            Self::Sixteen => Color::Indexed(closest(rgb, 0..=15)),
        }
    }
}

/// xterm's palette: 16 named colours, a 6x6x6 cube, 24 greys.
fn xterm(index: u8) -> (u8, u8, u8) {
    const BASE: [(u8, u8, u8); 16] = [
        (0, 0, 0),
        (205, 0, 0),
        (0, 205, 0),
        (205, 205, 0),
        (0, 0, 238),
        (205, 0, 205),
        (0, 205, 205),
        (229, 229, 229),
        (127, 127, 127),
        (255, 0, 0),
        (0, 255, 0),
        (255, 255, 0),
        (92, 92, 255),
        (255, 0, 255),
        (0, 255, 255),
        (255, 255, 255),
    ];
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let i = usize::from(index);
    match index {
        0..=15 => BASE[i],
        16..=231 => (LEVELS[(i - 16) / 36], LEVELS[(i - 16) / 6 % 6], LEVELS[(i - 16) % 6]),
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn closest((r, g, b): (u8, u8, u8), among: std::ops::RangeInclusive<u8>) -> u8 {
    let square = |a: u8, b: u8| (i32::from(a) - i32::from(b)).pow(2);
    let distance = |i: &u8| {
        let (x, y, z) = xterm(*i);
        square(r, x) + square(g, y) + square(b, z)
    };
    among.min_by_key(distance).unwrap_or(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_environment_decides_the_depth() {
        assert_eq!(Depth::detect(env(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")])), Depth::None);
        assert_eq!(Depth::detect(env(&[("TERM", "xterm-256color"), ("NO_COLOR", "")])), Depth::TwoFiftySix);
        assert_eq!(Depth::detect(env(&[("TERM", "xterm"), ("COLORTERM", "truecolor")])), Depth::True);
        assert_eq!(Depth::detect(env(&[("TERM", "screen-256color")])), Depth::TwoFiftySix);
        assert_eq!(Depth::detect(env(&[("TERM", "linux")])), Depth::Sixteen);
    }

    #[test]
    fn colours_go_to_the_nearest() {
        assert_eq!(Depth::TwoFiftySix.color(Color::Rgb(255, 0, 0)), Color::Indexed(196));
        assert_eq!(Depth::Sixteen.color(Color::Rgb(250, 5, 5)), Color::Indexed(9));
        assert_eq!(Depth::Sixteen.color(Color::Indexed(196)), Color::Indexed(9));
        assert_eq!(Depth::True.color(Color::Rgb(1, 2, 3)), Color::Rgb(1, 2, 3));
        assert_eq!(Depth::Sixteen.color(Color::Indexed(3)), Color::Indexed(3));
    }
}
