//! Where things were drawn, so that the mouse finds them. Filled while drawing; what lies on top is filled in last.

use std::cell::RefCell;

use ratatui::layout::{Position, Rect};

use crate::app::pointer::Target;

/// Areas and what they mean.
#[derive(Debug, Clone, Default)]
pub struct Hits(RefCell<Vec<(Rect, Target)>>);

/// A record of the last drawing is no part of how things look.
impl PartialEq for Hits {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Hits {
    /// Forgets the last picture.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Notes that something was drawn.
    pub fn note(&self, area: Rect, target: Target) {
        if !area.is_empty() {
            self.0.borrow_mut().push((area, target));
        }
    }

    /// What is at a cell: the last that was drawn there. Of a chart's curves, which of its cells.
    pub fn at(&self, x: u16, y: u16) -> Option<Target> {
        let hits = self.0.borrow();
        let (area, target) = hits.iter().rev().find(|(area, _)| area.contains(Position { x, y }))?;
        Some(match *target {
            Target::Plot { chart, .. } => Target::Plot { chart, cell: x - area.x, cells: area.width },
            target => target,
        })
    }
}
