//! Where runs come from and what came of them, as the lineage popup lists it.

use crate::core::run::{RunStatus, RunSummary};

/// One line of the popup.
#[derive(Debug, Clone, PartialEq)]
pub struct Kin {
    /// The run; `None` where it is not in the run home.
    pub run: Option<String>,
    /// Its name, or what is known of it.
    pub name: String,
    /// How it is related to the line above it.
    pub how: String,
    /// Its status.
    pub status: Option<RunStatus>,
    /// Forks since the first of the family.
    pub depth: usize,
}

/// Generations that are followed at most.
const DEEP: usize = 64;

/// The run's ancestors, itself and its descendants, oldest first; and the line of the run itself.
pub fn family(runs: &[RunSummary], id: &str) -> (Vec<Kin>, usize) {
    let find = |id: &str| runs.iter().find(|r| r.id.as_str() == id);
    let Some(own) = find(id) else { return (Vec::new(), 0) };
    let mut above: Vec<&RunSummary> = vec![own];
    let mut unknown = None;
    while let Some(from) = above.last().and_then(|r| r.lineage.forked_from.as_deref()) {
        let parent = from.rsplit_once('@').map_or(from, |(run, _)| run);
        match find(parent) {
            Some(run) if above.len() < DEEP && !above.iter().any(|r| r.id == run.id) => above.push(run),
            Some(_) => break,
            None => {
                unknown = Some(from.to_owned());
                break;
            }
        }
    }
    let mut kin = Vec::new();
    if let Some(from) = unknown {
        let name = format!("{from} (not in this run home)");
        kin.push(Kin { run: None, name, how: String::new(), status: None, depth: 0 });
    }
    for run in above.iter().rev() {
        kin.push(line(run, kin.len()));
    }
    let at = kin.len() - 1;
    descend(runs, id, kin.len(), &mut kin);
    (kin, at)
}

fn descend(runs: &[RunSummary], id: &str, depth: usize, kin: &mut Vec<Kin>) {
    // The list is newest first; children are told in the order in which they were made.
    for child in runs.iter().rev() {
        let from = child.lineage.forked_from.as_deref().and_then(|from| Some(from.rsplit_once('@')?.0));
        let known = kin.iter().any(|k| k.run.as_deref() == Some(child.id.as_str()));
        if from == Some(id) && !known && depth < DEEP {
            kin.push(line(child, depth));
            descend(runs, child.id.as_str(), depth + 1, kin);
        }
    }
}

fn line(run: &RunSummary, depth: usize) -> Kin {
    let step = |from: &str| from.rsplit_once('@').map_or_else(String::new, |(_, step)| format!(" at step {step}"));
    let mut how = Vec::new();
    how.extend(run.lineage.forked_from.as_deref().map(|from| format!("forked{}", step(from))));
    how.extend(run.lineage.resumed_from.as_deref().map(|from| format!("resumed{}", step(from))));
    Kin { run: Some(run.id.to_string()), name: run.name.clone(), how: how.join(", "), status: Some(run.status), depth }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    fn runs(forks: &[(u64, u64)]) -> Vec<RunSummary> {
        let mut runs: Vec<RunSummary> =
            (1..=5).map(|n| sample::run(n, &format!("r{n}"), RunStatus::Finished)).collect();
        let id = |n: u64| sample::run(n, "", RunStatus::Finished).id;
        for (child, parent) in forks {
            let place = *child as usize - 1;
            runs[place].lineage.forked_from = Some(format!("{}@12{parent}", id(*parent)));
        }
        runs
    }

    #[test]
    fn ancestors_come_first_and_children_below_with_their_own() {
        let runs = runs(&[(1, 3), (3, 5), (2, 3), (4, 1)]);
        let (kin, at) = family(&runs, runs[2].id.as_str());
        let lines: Vec<_> = kin.iter().map(|k| (k.name.as_str(), k.depth, k.how.as_str())).collect();
        assert_eq!(
            lines,
            [
                ("r5", 0, ""),
                ("r3", 1, "forked at step 125"),
                ("r2", 2, "forked at step 123"),
                ("r1", 2, "forked at step 123"),
                ("r4", 3, "forked at step 121"),
            ]
        );
        assert_eq!(at, 1);
    }

    #[test]
    fn a_parent_that_was_deleted_and_a_circle_are_borne() {
        let mut lost = runs(&[]);
        lost[0].lineage.forked_from = Some("20250101-000000-aaaa@7".to_owned());
        let (kin, at) = family(&lost, lost[0].id.as_str());
        assert_eq!((kin.len(), at, kin[0].run.as_ref()), (2, 1, None));
        let circle = runs(&[(1, 2), (2, 1)]);
        assert_eq!(family(&circle, circle[0].id.as_str()).0.len(), 2);
        assert_eq!(family(&circle, "none"), (Vec::new(), 0));
    }
}
