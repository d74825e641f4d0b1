//! The palette: actions by name, of the screen on view and of the others.

use super::action::{ACTIONS, Action};
use super::model::Model;
use super::place::{Place, Screen};

/// By so much an action of another screen has to be called better than one of this one to stand above it.
const ELSEWHERE: usize = 10;

/// What the palette offers for a text, best first: what can be done here, and what there is on other screens.
pub fn offer(model: &Model, query: &str) -> Vec<Action> {
    let mut here = model.offered(model.screen.place());
    here.extend(model.offered(Place::Global).into_iter().filter(|a| *a != Action::Palette));
    let there = ACTIONS.iter().map(|info| info.action).filter(|a| elsewhere(model, *a).is_some());
    let mut scored = matches(query, &here);
    scored.extend(matches(query, &there.collect::<Vec<_>>()).into_iter().map(|(score, a)| (score + ELSEWHERE, a)));
    scored.sort_by_key(|(score, _)| *score);
    scored.into_iter().map(|(_, action)| action).collect()
}

/// Why it offers nothing for a text.
pub fn nothing(model: &Model, query: &str) -> String {
    let here = ACTIONS.iter().map(|info| info.action).filter(|a| a.info().place == model.screen.place());
    let best = matches(query, &here.collect::<Vec<_>>()).into_iter().min_by_key(|(score, _)| *score);
    best.map_or_else(|| "no action is called that".to_owned(), |(_, a)| format!("{}: not now", a.info().name))
}

/// The screen that an action belongs to, where that is not the one on view.
pub fn elsewhere(model: &Model, action: Action) -> Option<Screen> {
    Screen::ALL.into_iter().find(|s| *s != model.screen && s.place() == action.info().place)
}

/// Whether an action of another screen is done as soon as one is there. What changes or starts something with the line under a
/// cursor that was not seen, or with edits that were not, is not: one goes there, and sees.
pub fn is_done_unseen(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::NewRun
            | A::NewRecipe
            | A::RefreshRuns
            | A::FilterRuns
            | A::SortRuns
            | A::ReverseRuns
            | A::FreezeRule
            | A::FilterLayers
            | A::Explain
            | A::FoldAll
            | A::WriteRules
            | A::EditRecipe
            | A::RefreshDevices
            | A::Pause
            | A::Stop
            | A::Save
            | A::Evaluate
            | A::SetLr
            | A::ResetCharts
            | A::FullScreen
            | A::XAxis
            | A::ChooseCharts
            | A::OverlayRuns
            | A::Export
            | A::ForkWith
            | A::VerifyAll
            | A::FilterCheckpoints
            | A::SortCheckpoints
            | A::ReverseCheckpoints
            | A::RefreshCheckpoints
            | A::CompareAll
            | A::MeasureDrift
            | A::RefreshCompare
    )
}

/// Actions whose name or words have all the typed characters in order, and how far apart those lie.
fn matches(query: &str, offered: &[Action]) -> Vec<(usize, Action)> {
    let query: Vec<char> = query.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let score = |action: &Action| {
        let info = action.info();
        let name = spread(&query, info.name);
        let text = spread(&query, info.text).map(|s| s + 20);
        Some((name.into_iter().chain(text).min()?, *action))
    };
    offered.iter().filter_map(score).collect()
}

/// How far apart the characters lie in the text; `None` when they are not all there, in order.
fn spread(query: &[char], text: &str) -> Option<usize> {
    let mut wanted = query.iter().peekable();
    let (mut first, mut last) = (None, 0);
    for (i, c) in text.chars().flat_map(char::to_lowercase).enumerate() {
        if wanted.peek() == Some(&&c) {
            wanted.next();
            (first, last) = (first.or(Some(i)), i);
        }
    }
    wanted.peek().is_none().then(|| last - first.unwrap_or(0) + first.unwrap_or(0).min(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_by_letters_in_order_and_best_first() {
        let offered = [Action::Quit, Action::Pause, Action::Save, Action::Evaluate];
        let best = |query| matches(query, &offered).into_iter().min_by_key(|(score, _)| *score).unwrap().1;
        assert_eq!((best("pau"), best("evl")), (Action::Pause, Action::Evaluate));
        assert!(!matches("evl", &offered).iter().any(|(_, a)| *a == Action::Save));
        assert_eq!(matches("zzz", &offered), []);
        assert_eq!(matches("", &offered).len(), 4);
    }
}
