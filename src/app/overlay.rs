//! What lies on top of a screen: a stack of these, the last one has the keyboard.

use super::diff_view::DiffView;
use super::effect::{ExportJob, RecipeJob, StartJob};
use super::form::Form;
use super::lineage::Kin;
use super::message::RecipeEntry;
use super::place::Place;
use crate::core::filter::Query;
use crate::core::run::Filter;

/// One thing on top.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// Everything that was said.
    Messages {
        /// First line shown, counted from the newest.
        scroll: usize,
    },
    /// Recipes of the current folder.
    Recipes {
        /// The list; `None` while it is read.
        entries: Option<Vec<RecipeEntry>>,
        /// Line under the cursor.
        cursor: usize,
    },
    /// Charts that can be shown, each switched on or off.
    ChooseCharts {
        /// Line under the cursor.
        cursor: usize,
    },
    /// Runs that can be drawn over the one on view.
    OverlayRuns {
        /// Line under the cursor.
        cursor: usize,
    },
    /// Themes; the one under the cursor is in force.
    Themes {
        /// Their names.
        names: Vec<String>,
        /// Line under the cursor.
        cursor: usize,
        /// The one that was in force before.
        before: String,
    },
    /// Actions by name.
    Palette {
        /// What was typed.
        input: Input,
        /// Line under the cursor.
        cursor: usize,
    },
    /// A run's ancestors and forks.
    Lineage {
        /// The lines.
        kin: Vec<Kin>,
        /// Line under the cursor.
        cursor: usize,
    },
    /// A question.
    Confirm(Confirm),
    /// Two checkpoints compared.
    Diff(Box<DiffView>),
    /// A form.
    Form(Box<Form>),
    /// A text field.
    Ask(Box<Ask>),
    /// The node under the cursor of the layer tree, or the checkpoint, explained; where there is no room beside it.
    Explain {
        /// First line shown.
        scroll: usize,
    },
    /// A longer text, as of an error.
    Text {
        /// Heading.
        title: String,
        /// Its lines.
        lines: Vec<String>,
        /// First line shown.
        scroll: usize,
    },
}

impl Overlay {
    /// Whose keys are in force.
    pub fn place(&self) -> Place {
        match self {
            Self::Confirm(_) => Place::Confirm,
            Self::Form(_) => Place::Form,
            Self::Diff(_) => Place::Diff,
            Self::Ask(_) | Self::Palette { .. } => Place::Prompt,
            _ => Place::Popup,
        }
    }
}

/// A text field that asks for one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Heading.
    pub title: String,
    /// What is typed.
    pub input: Input,
    /// What it is for.
    pub purpose: Purpose,
    /// What the text as it stands would do, or why it cannot be taken.
    pub preview: Result<Vec<String>, String>,
}

/// What a text is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// A run's name.
    RenameRun(String),
    /// Tags of these runs.
    TagRuns(Vec<String>),
    /// A run's note.
    NoteRun(String),
    /// How long a finished run is to become.
    Lengthen(String),
    /// The base learning rate of the live run.
    SetLr,
    /// Which rows of the layer tree are shown; the filter that was in force before, and where the cursor was.
    FilterLayers {
        /// In force again when the field is left.
        before: Option<String>,
        /// The node under the cursor.
        cursor: usize,
    },
    /// Rules to stage.
    FreezeRule,
    /// Which checkpoints are listed; the filter that was in force before.
    FilterCheckpoints {
        /// In force again when the field is left.
        before: Query,
    },
    /// Which runs are listed; the filter that was in force before.
    FilterRuns {
        /// In force again when the field is left.
        before: Filter,
    },
}

/// A question with what a yes does.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// The question.
    pub title: String,
    /// What would happen.
    pub lines: Vec<String>,
    /// What a yes does.
    pub yes: Consent,
    /// A second way, if there is one.
    pub other: Option<Consent>,
}

/// What is done after a yes.
#[derive(Debug, Clone, PartialEq)]
pub enum Consent {
    /// Stop the live run with a checkpoint.
    Stop,
    /// Let the live run go on on this device.
    MoveRun(String),
    /// Stop the live run with a checkpoint, then leave.
    StopAndLeave,
    /// Hand the live run over to a process in the background, then leave.
    LeaveRunning,
    /// Leave without waiting for the run.
    LeaveAtOnce,
    /// Start.
    Start(StartJob),
    /// Write a recipe over a file that exists.
    WriteRecipe(RecipeJob),
    /// Delete these runs.
    DeleteRuns(Vec<String>),
    /// Delete a checkpoint.
    DeleteCheckpoint {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// Export over a file that exists.
    Export(Box<ExportJob>),
}

/// One line of text with a cursor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// The text.
    pub text: String,
    /// Cursor in characters.
    pub cursor: usize,
}

impl Input {
    /// A field with text in it and the cursor at its end.
    pub fn with(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.chars().count(), text }
    }

    fn byte(&self, at: usize) -> usize {
        self.text.char_indices().nth(at).map_or(self.text.len(), |(i, _)| i)
    }

    /// Types characters; line ends and other control characters are left out.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            let at = self.byte(self.cursor);
            self.text.insert(at, c);
            self.cursor += 1;
        }
    }

    /// Removes the character before the cursor.
    pub fn backspace(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.delete();
        }
    }

    /// Removes the character under the cursor.
    pub fn delete(&mut self) {
        let at = self.byte(self.cursor);
        if at < self.text.len() {
            self.text.remove(at);
        }
    }

    /// Removes the word before the cursor, as a shell does.
    pub fn delete_word(&mut self) {
        let word = |c: char| c.is_alphanumeric();
        while self.cursor > 0 && !self.before().is_some_and(word) {
            self.backspace();
        }
        while self.before().is_some_and(word) {
            self.backspace();
        }
    }

    fn before(&self) -> Option<char> {
        self.text.chars().nth(self.cursor.checked_sub(1)?)
    }

    /// Removes everything before the cursor.
    pub fn clear_before(&mut self) {
        self.text = self.text.split_off(self.byte(self.cursor));
        self.cursor = 0;
    }

    /// Moves the cursor.
    pub fn go(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.text.chars().count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_moves_by_characters_not_bytes() {
        let mut input = Input::with("gelé");
        input.backspace();
        input.insert("é 氷\n");
        assert_eq!((input.text.as_str(), input.cursor), ("gelé 氷", 6));
        input.go(-1);
        input.delete();
        assert_eq!(input.text, "gelé ");
        input.insert("a b");
        input.delete_word();
        assert_eq!(input.text, "gelé a ");
        input.go(-99);
        input.backspace();
        input.go(2);
        input.clear_before();
        assert_eq!((input.text.as_str(), input.cursor), ("lé a ", 0));
    }
}
