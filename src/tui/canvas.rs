//! The screen without a terminal: for timing frames.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::glyphs::Glyphs;
use super::hits::Hits;
use super::look::Look;
use super::screens;
use super::theme::{Depth, Theme};
use crate::app::Model;

/// A screen in memory, drawn as on a terminal with all colours.
pub struct Canvas {
    terminal: Option<Terminal<TestBackend>>,
    look: Look,
}

impl Canvas {
    /// Of so many cells.
    pub fn new(width: u16, height: u16) -> Self {
        let theme = Theme::load(None, None, Depth::True).0;
        let look = Look { theme, glyphs: Glyphs::UNICODE, hits: Hits::default() };
        Self { terminal: Terminal::new(TestBackend::new(width, height)).ok(), look }
    }

    /// Draws a frame.
    pub fn draw(&mut self, model: &Model) {
        if let Some(terminal) = &mut self.terminal {
            let _ = terminal.draw(|frame| screens::draw(frame, model, &self.look));
        }
    }
}
