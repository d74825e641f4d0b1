//! Frames: ratatui draws into a buffer, and the writer's thread carries what changed to the terminal in one
//! synchronized update.

use std::io::Write;
use std::time::Duration;

use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::TuiError;
use super::look::Look;
use super::screens;
use super::writer::{Sink, Writer};
use crate::app::Model;

/// Draws models.
pub struct Painter {
    terminal: Terminal<CrosstermBackend<Sink>>,
    sink: Sink,
    writer: Writer,
    area: Rect,
    /// The terminal's cells are not what was drawn last.
    forgotten: bool,
    /// What goes to the terminal before the next frame.
    ring: String,
}

impl Painter {
    /// A painter on a terminal; `written` after each frame, `lost` when the terminal is gone.
    pub fn start(
        tty: std::fs::File,
        written: impl Fn() + Send + 'static,
        lost: impl FnOnce() + Send + 'static,
    ) -> Result<Self, TuiError> {
        let sink = Sink::default();
        let area = Rect::default();
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let terminal = Terminal::with_options(CrosstermBackend::new(sink.clone()), options);
        let terminal = terminal.map_err(|e| TuiError::io("the screen cannot be set up", &e))?;
        let writer = Writer::start(tty, written, lost);
        let writer = writer.map_err(|e| TuiError::io("a thread cannot be started", &e))?;
        Ok(Self { terminal, sink, writer, area, forgotten: true, ring: String::new() })
    }

    /// Whether the last frame is still on its way.
    pub fn busy(&self) -> bool {
        self.writer.busy()
    }

    /// The next frame draws every cell.
    pub fn forget(&mut self) {
        self.forgotten = true;
    }

    /// Sends a bell or a notification along with the next frame.
    pub fn ring(&mut self, sequence: &str) {
        self.ring.push_str(sequence);
    }

    /// Waits for the last frame, at most half a second.
    pub fn settle(&self) {
        self.writer.settle(Duration::from_millis(500));
    }

    /// Draws the model. All errors are the buffer's own, which has none.
    pub fn draw(&mut self, model: &Model, look: &Look) {
        let area = Rect::new(0, 0, model.size.0, model.size.1);
        if area.is_empty() {
            return;
        }
        let mut sink = self.sink.clone();
        let _ = sink.write_all(std::mem::take(&mut self.ring).as_bytes());
        let _ = queue!(sink, BeginSynchronizedUpdate);
        if area != self.area || std::mem::take(&mut self.forgotten) {
            self.area = area;
            let _ = self.terminal.resize(area);
            let _ = queue!(sink, crossterm::terminal::Clear(crossterm::terminal::ClearType::All));
        }
        let _ = self.terminal.draw(|frame| screens::draw(frame, model, look));
        let _ = queue!(sink, EndSynchronizedUpdate);
        self.writer.send(self.sink.take());
    }
}
