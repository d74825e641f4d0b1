//! A terminal's picture as SVG. Dots, blocks and lines are shapes, so that they meet whatever font the reader has.

use std::collections::BTreeMap;
use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// A cell in pixels.
const WIDTH: f64 = 8.0;
const HEIGHT: f64 = 17.0;
const MARGIN: f64 = 10.0;
/// Where letters stand, below the cell's top.
const BASE: f64 = 12.8;
/// What a terminal shows where nothing is said.
const GROUND: &str = "#10151c";
const INK: &str = "#d5dde5";

/// Letters of one look that stand side by side.
struct Words {
    column: u16,
    columns: u16,
    text: String,
    ink: String,
    style: &'static str,
}

/// The whole picture; `title` is for those who cannot see it.
pub fn picture(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (f64::from(columns) * WIDTH + 2.0 * MARGIN, f64::from(rows) * HEIGHT + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"13\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\">\n",
        escaped(title)
    );
    let mut shapes: BTreeMap<String, String> = BTreeMap::new();
    let mut words = Vec::new();
    for row in 0..rows {
        let cells: Vec<(u16, &Cell)> = (0..columns).filter_map(|c| Some((c, screen.cell(row, c)?))).collect();
        grounds(&mut out, row, &cells);
        for (column, cell) in cells {
            let ink = ink(cell);
            let sign = cell.contents();
            let mut signs = sign.chars();
            match (signs.next(), signs.next()) {
                (None | Some(' '), None) => {}
                (Some(c), None) if shape(shapes.entry(ink.clone()).or_default(), c, column, row) => {}
                _ => {
                    let width = if cell.is_wide() { 2 } else { 1 };
                    let style = style(cell);
                    match words.last_mut() {
                        Some((r, last)) if *r == row && fits(last, column, &ink, style) => {
                            last.text.push_str(sign);
                            last.columns += width;
                        }
                        _ => words.push((row, Words { column, columns: width, text: sign.to_owned(), ink, style })),
                    }
                }
            }
        }
    }
    for (ink, path) in shapes.iter().filter(|(_, path)| !path.is_empty()) {
        let _ = writeln!(out, "<path fill=\"{ink}\" d=\"{path}\"/>");
    }
    for (row, words) in words {
        let (x, y) = (f64::from(words.column) * WIDTH, f64::from(row) * HEIGHT + BASE);
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y:.1}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{}>{}</text>",
            f64::from(words.columns) * WIDTH,
            words.ink,
            words.style,
            escaped(&words.text)
        );
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn fits(last: &Words, column: u16, ink: &str, style: &str) -> bool {
    last.column + last.columns == column && last.ink == ink && last.style == style
}

/// The grounds of a row that are not the terminal's.
fn grounds(out: &mut String, row: u16, cells: &[(u16, &Cell)]) {
    let of =
        |cell: &Cell| if cell.inverse() { name(cell.fgcolor()).or(Some(INK.to_owned())) } else { name(cell.bgcolor()) };
    for run in cells.chunk_by(|(_, a), (_, b)| of(a) == of(b)) {
        if let Some((column, cell)) = run.first()
            && let Some(ground) = of(cell)
        {
            let (x, y, width) = (f64::from(*column) * WIDTH, f64::from(row) * HEIGHT, run.len() as f64 * WIDTH);
            let _ =
                writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{ground}\"/>");
        }
    }
}

fn ink(cell: &Cell) -> String {
    let (color, otherwise) = if cell.inverse() { (cell.bgcolor(), GROUND) } else { (cell.fgcolor(), INK) };
    name(color).unwrap_or_else(|| otherwise.to_owned())
}

fn style(cell: &Cell) -> &'static str {
    match (cell.bold(), cell.italic(), cell.dim()) {
        (true, _, _) => " font-weight=\"bold\"",
        (_, true, _) => " font-style=\"italic\"",
        (_, _, true) => " opacity=\"0.6\"",
        _ => "",
    }
}

/// `#rrggbb`, also of the 256 colours as xterm has them; `None` for the terminal's own.
fn name(color: Color) -> Option<String> {
    let [r, g, b] = match color {
        Color::Default => return None,
        Color::Rgb(r, g, b) => [r, g, b],
        Color::Idx(n @ 0..16) => {
            let (on, off) = if n < 8 { (205, 0) } else { (255, 85) };
            [1, 2, 4].map(|bit| if n & bit == 0 { off } else { on })
        }
        Color::Idx(n @ 232..) => [8 + 10 * (n - 232); 3],
        Color::Idx(n) => [(n - 16) / 36, (n - 16) / 6 % 6, (n - 16) % 6].map(|v| if v == 0 { 0 } else { 55 + 40 * v }),
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}

/// Adds a sign that is drawn and not written; false for a letter.
fn shape(path: &mut String, sign: char, column: u16, row: u16) -> bool {
    let (x, y) = (f64::from(column) * WIDTH, f64::from(row) * HEIGHT);
    let mut rect = |left: f64, top: f64, width: f64, height: f64| {
        let _ = write!(path, "M{:.1} {:.1}h{width:.1}v{height:.1}h-{width:.1}z", x + left, y + top);
    };
    let (middle, center) = (HEIGHT / 2.0, WIDTH / 2.0);
    match u32::from(sign) {
        code @ 0x2800..=0x28ff => {
            // Dots 1 to 8 of the Unicode standard's numbering.
            for (bit, (i, j)) in
                [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)].into_iter().enumerate()
            {
                if (code - 0x2800) >> bit & 1 == 1 {
                    rect(f64::from(i) * center + 1.0, f64::from(j) * HEIGHT / 4.0 + 1.1, 2.0, 2.0);
                }
            }
        }
        // Eighths from below, and from the left.
        code @ 0x2581..=0x2588 => {
            let height = f64::from(code - 0x2580) * HEIGHT / 8.0;
            rect(0.0, HEIGHT - height, WIDTH, height);
        }
        code @ 0x2589..=0x258f => rect(0.0, 0.0, f64::from(0x2590 - code) * WIDTH / 8.0, HEIGHT),
        0x2580 => rect(0.0, 0.0, WIDTH, middle),
        _ => {
            // Arms to the left, right, top, bottom; how thick.
            let (arms, thick) = match sign {
                '─' | '╌' | '┄' => ([true, true, false, false], 1.0),
                '━' | '┅' => ([true, true, false, false], 2.0),
                '│' | '┆' | '┊' => ([false, false, true, true], 1.0),
                '┃' => ([false, false, true, true], 2.0),
                '┌' | '╭' => ([false, true, false, true], 1.0),
                '┐' | '╮' => ([true, false, false, true], 1.0),
                '└' | '╰' => ([false, true, true, false], 1.0),
                '┘' | '╯' => ([true, false, true, false], 1.0),
                '├' => ([false, true, true, true], 1.0),
                '┤' => ([true, false, true, true], 1.0),
                '┬' => ([true, true, false, true], 1.0),
                '┴' => ([true, true, true, false], 1.0),
                '┼' => ([true; 4], 1.0),
                _ => return false,
            };
            let half = thick / 2.0;
            let reach = [
                (0.0, middle - half, center + half, thick),
                (center - half, middle - half, center + half, thick),
                (center - half, 0.0, thick, middle + half),
                (center - half, middle - half, thick, middle + half),
            ];
            for (_, (left, top, width, height)) in arms.into_iter().zip(reach).filter(|(arm, _)| *arm) {
                rect(left, top, width, height);
            }
        }
    }
    true
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
