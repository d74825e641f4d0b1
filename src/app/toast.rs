//! What is said to the user: it stands on the screen for a while, and then in the list of messages.

use std::collections::VecDeque;

use super::run_view::Level;

/// So many stand at once; of more, the least loud leave, the oldest first.
const STANDING: usize = 3;
/// Messages that are kept for the list of them.
const MESSAGES: usize = 500;

/// Something said to the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Toast {
    /// How loud.
    pub level: Level,
    /// The words.
    pub text: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether it still stands on the screen.
    pub standing: bool,
    /// The run that has to be resumed; it has no point any more once that is done.
    pub until_resumed: Option<String>,
}

impl Toast {
    /// How long it stands, in milliseconds: as long as it takes to be noticed and read, twice that where it is loud.
    fn life_ms(&self) -> u64 {
        let read = (1_500 + 40 * self.text.chars().count() as u64).min(5_000);
        if is_loud(self.level) { 2 * read } else { read }
    }
}

fn is_loud(level: Level) -> bool {
    matches!(level, Level::Warning | Level::Error)
}

/// All that was said, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Toasts(VecDeque<Toast>);

impl Toasts {
    /// Everything, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Toast> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was said last.
    pub fn back(&self) -> Option<&Toast> {
        self.0.back()
    }

    /// Those that stand, oldest first.
    pub fn standing(&self) -> impl DoubleEndedIterator<Item = &Toast> {
        self.0.iter().filter(|t| t.standing)
    }

    /// One more. The same words again stand once.
    pub fn push(&mut self, toast: Toast) {
        self.take_down(|t| t.text == toast.text);
        if self.0.len() == MESSAGES {
            self.0.pop_front();
        }
        self.0.push_back(toast);
        while self.standing().count() > STANDING {
            let others = self.0.len().saturating_sub(1);
            let standing = |loud: bool| move |t: &Toast| t.standing && is_loud(t.level) == loud;
            let quiet = self.0.iter().take(others).position(standing(false));
            let Some(at) = quiet.or_else(|| self.0.iter().position(standing(true))) else { break };
            self.0[at].standing = false;
        }
    }

    /// Takes those down that stood long enough.
    pub fn expire(&mut self, now_ms: u64) {
        self.take_down(|t| now_ms >= t.at_ms + t.life_ms());
    }

    /// Takes all down; whether one stood.
    pub fn clear(&mut self) -> bool {
        let stood = self.standing().next().is_some();
        self.take_down(|_| true);
        stood
    }

    /// Takes those down that asked for this run to be resumed.
    pub fn resumed(&mut self, run: &str) {
        self.take_down(|t| t.until_resumed.as_deref() == Some(run));
    }

    fn take_down(&mut self, which: impl Fn(&Toast) -> bool) {
        self.0.iter_mut().filter(|t| which(t)).for_each(|t| t.standing = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(level: Level, text: &str) -> Toast {
        Toast { level, text: text.to_owned(), at_ms: 0, standing: true, until_resumed: None }
    }

    fn standing(toasts: &Toasts) -> Vec<&str> {
        toasts.standing().map(|t| t.text.as_str()).collect()
    }

    #[test]
    fn three_stand_at_once_and_the_loud_ones_stay() {
        let mut toasts = Toasts::default();
        for (level, text) in
            [(Level::Error, "e"), (Level::Info, "a"), (Level::Good, "b"), (Level::Info, "c"), (Level::Warning, "w")]
        {
            toasts.push(said(level, text));
        }
        assert_eq!((standing(&toasts), toasts.len()), (vec!["e", "c", "w"], 5));
        toasts.push(said(Level::Error, "f"));
        toasts.push(said(Level::Info, "d"));
        assert_eq!(standing(&toasts), ["w", "f", "d"], "what is said now is seen");
        toasts.push(said(Level::Info, "d"));
        assert_eq!(standing(&toasts), ["w", "f", "d"], "the same words stand once");
        assert!(toasts.clear() && !toasts.clear());
    }

    #[test]
    fn a_short_one_goes_sooner_than_a_long_one_and_a_loud_one_stands_longer() {
        let mut toasts = Toasts::default();
        toasts.push(said(Level::Info, "copied x"));
        toasts.push(said(Level::Info, &"long ".repeat(20)));
        toasts.push(said(Level::Error, "no memory"));
        toasts.expire(1_820);
        assert_eq!(standing(&toasts).len(), 2);
        toasts.expire(5_000);
        assert!(standing(&toasts).is_empty(), "{toasts:?}");
    }
}
