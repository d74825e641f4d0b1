//! The mouse: what it points at. The drawing says where things are, so that a click means what was seen.

use super::action::Action;
use super::place::Screen;

/// Something on the screen that a click can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A screen's name in the header.
    Tab(Screen),
    /// A hint in the footer.
    Hint(Action),
    /// A line of the list on the screen, counted from its first.
    Row(usize),
    /// A cell of a chart's curves, of so many in its row; the chart is counted from the first that is shown.
    Plot {
        /// Which chart.
        chart: usize,
        /// Cells from the left.
        cell: u16,
        /// Cells of a row.
        cells: u16,
    },
    /// What stands around the curves of a chart.
    Chart(usize),
    /// A line of the list on top.
    TopRow(usize),
    /// The inside of what lies on top.
    Top,
}

/// What the mouse does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// The left button went down.
    Click,
    /// It moved while the left button was down.
    Drag,
    /// The left button came up.
    Release,
    /// The wheel turned; down is positive.
    Wheel(i8),
}
