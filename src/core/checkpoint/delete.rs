//! Deleting a checkpoint because a user says so: never one that the run cannot do without.

use std::collections::HashSet;

use super::policy::{self, Guard};
use super::{CheckpointError, CheckpointStore};
use crate::core::recipe::CheckpointSpec;

impl CheckpointStore {
    /// Deletes a checkpoint, unless it is pinned, the newest or the best of those that are good, or one that the newest
    /// goes back to. Returns the bytes that it took. Reads every byte of those that stand in for it: a damaged one is no
    /// stand-in. One that is damaged itself goes, whatever its place.
    ///
    /// # Errors
    /// [`CheckpointError::Guarded`] says why it stays; it is untouched then.
    pub fn delete(&self, name: &str, spec: &CheckpointSpec) -> Result<u64, CheckpointError> {
        let bytes = self.may_delete(name, spec)?;
        match self.remove_unless_pinned(name)? {
            true => Ok(bytes),
            false => Err(CheckpointError::Guarded { path: self.path().join(name), guard: Guard::Pinned }),
        }
    }

    /// Whether [`CheckpointStore::delete`] would delete it now; the bytes that it takes.
    ///
    /// # Errors
    /// As there.
    pub fn may_delete(&self, name: &str, spec: &CheckpointSpec) -> Result<u64, CheckpointError> {
        let path = self.path().join(name);
        if !path.is_dir() {
            return Err(CheckpointError::Missing { path });
        }
        let guarded = |guard| Err(CheckpointError::Guarded { path: path.clone(), guard });
        let infos = self.list();
        let bytes = infos.iter().find(|i| i.name == name).map_or(0, |i| i.bytes);
        if self.pins().contains(name) {
            return guarded(Guard::Pinned);
        }
        // One that is not in the list has a damaged state.json, and nothing to lose.
        if bytes > 0 {
            let mut good = infos;
            let mut proved: HashSet<String> = HashSet::new();
            loop {
                if let Some(guard) = policy::guard(&good, spec, name) {
                    if self.verify(name).is_empty() {
                        return guarded(guard);
                    }
                    break;
                }
                let bad = policy::guarding(&good, spec)
                    .into_iter()
                    .find(|other| proved.insert(other.clone()) && !self.verify(other).is_empty());
                match bad {
                    Some(bad) => good.retain(|i| i.name != bad),
                    None => break,
                }
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkpoint::{TrainState, WEIGHTS};
    use crate::core::event::Metrics;
    use crate::core::tensor::HostTensor;

    fn store(losses: &[f64]) -> (tempfile::TempDir, CheckpointStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        for (step, loss) in (1..).zip(losses) {
            let metrics = Metrics::from([("val/loss".to_owned(), *loss)]);
            let state = TrainState { step, metrics, ..TrainState::default() };
            store.write(&state, &[HostTensor::from_f32("w", &[1], &[step as f32])], &[]).unwrap();
        }
        (dir, store)
    }

    fn name(step: u64) -> String {
        CheckpointStore::name_of(step)
    }

    fn damage(store: &CheckpointStore, step: u64) {
        let file = store.path().join(name(step)).join(WEIGHTS);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(file, bytes).unwrap();
    }

    fn why(result: Result<u64, CheckpointError>) -> Guard {
        match result {
            Err(CheckpointError::Guarded { guard, .. }) => guard,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_the_best_and_pinned_ones_stay() {
        let (_dir, store) = store(&[0.9, 0.1, 0.5, 0.3]);
        let spec = CheckpointSpec::default();
        assert_eq!(why(store.delete(&name(4), &spec)), Guard::Newest);
        assert_eq!(why(store.delete(&name(2), &spec)), Guard::Best("val/loss".to_owned()));
        store.pin(&name(3), true).unwrap();
        assert_eq!(why(store.delete(&name(3), &spec)), Guard::Pinned);
        assert!(store.delete(&name(1), &spec).unwrap() > 0);
        assert!(matches!(store.delete(&name(1), &spec), Err(CheckpointError::Missing { .. })));
        assert_eq!(store.names(), [name(2), name(3), name(4)]);
    }

    #[test]
    fn a_damaged_one_is_no_stand_in_and_goes_itself() {
        let (_dir, store) = store(&[0.9, 0.1, 0.5, 0.3]);
        let spec = CheckpointSpec::default();
        damage(&store, 4);
        damage(&store, 2);
        assert_eq!(why(store.delete(&name(3), &spec)), Guard::Newest, "the newest good one");
        store.delete(&name(4), &spec).unwrap();
        store.delete(&name(2), &spec).unwrap();
        std::fs::write(store.path().join(name(1)).join("state.json"), "{").unwrap();
        store.delete(&name(1), &spec).unwrap();
        assert_eq!(store.names(), [name(3)]);
    }
}
