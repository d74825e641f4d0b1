//! The keys, made of the one table of actions.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::{action_line, scrolled};
use crate::app::Model;
use crate::app::action::ACTIONS;
use crate::app::place::Place;
use crate::tui::look::Look;
use crate::tui::theme::Scope;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, scroll: usize, model: &Model, look: &Look) {
    let here = model.screen.place();
    let others = [Place::Runs, Place::Model, Place::Devices, Place::Train, Place::Checkpoints, Place::Compare];
    let order = [here, Place::Global].into_iter().chain(others.into_iter().filter(|p| *p != here));
    let order = order.chain([Place::Diff, Place::Popup, Place::Prompt, Place::Form, Place::Confirm]);
    let width = usize::from(area.width.saturating_sub(6)).clamp(10, 104);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for place in order {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(place.title(), look.style(Scope::Heading)));
        let own = ACTIONS.iter().filter(|i| i.place == place);
        lines.extend(own.map(|i| action_line(i.action, width, model, look, Style::new())));
    }
    scrolled(f, area, look, "Keys", lines, scroll);
}
