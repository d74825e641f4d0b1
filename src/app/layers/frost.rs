//! The frost line: the depth down to which the network is frozen.

use crate::core::freeze::ParamState;

use super::Layers;

/// Where the frost line lies among the visible rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrostLine {
    /// The first parameter learns: there is no frost from the input on.
    None,
    /// Above the visible row with this position; behind the last one where what follows is filtered out.
    Above(usize),
    /// Everything is frozen.
    Below,
}

impl Layers {
    /// The frost line with the staged edits, and how many elements are frozen above it. Drawn above the first row
    /// whose parameters all come after the frozen beginning; within a folded module, above that module.
    pub fn frost_line(&self) -> (FrostLine, u64) {
        let learns = |s: ParamState| matches!(s, ParamState::Trainable | ParamState::Starved);
        let states = self.preview.states();
        let first = states.iter().position(|s| learns(*s));
        let frozen = self.tree.parameters.iter().take(first.unwrap_or(states.len())).map(|p| p.count() as u64).sum();
        let line = match first {
            _ if states.is_empty() => FrostLine::None,
            Some(0) => FrostLine::None,
            None => FrostLine::Below,
            Some(first) => {
                let after = |params: &[usize]| params.iter().min().is_some_and(|p| *p >= first);
                let shown = self.visible();
                let here = shown.iter().position(|&i| {
                    let params = &self.nodes[i].params;
                    after(params) || (self.folded.contains(&i) && params.contains(&first))
                });
                FrostLine::Above(here.unwrap_or(shown.len()))
            }
        };
        (line, frozen)
    }
}
