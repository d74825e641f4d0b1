//! Watches the run home and the checkpoints of the run on view, so that lists follow what other processes do. Where the
//! system has no watching, the loop polls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::post::Post;

/// What changed on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Runs came or went.
    Runs,
    /// Something in the run on view.
    Run,
}

/// The watches. Ends with it.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// The folder that was watched is not there any more; one of its name is another one.
    lost: Arc<AtomicBool>,
    home: PathBuf,
    run: Vec<PathBuf>,
}

impl Watch {
    /// Watches the run home, where the system can.
    pub fn start(home: &Path, post: &Post) -> Self {
        let home = home.join("runs");
        let (post, runs) = (post.clone(), home.clone());
        let lost = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&lost);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            let moved = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
            if moved && event.paths.contains(&runs) {
                gone.store(true, Ordering::Release);
            }
            let at_home = event.paths.iter().any(|p| p.parent() == Some(&runs) || *p == runs);
            post.changed(if at_home { Changed::Runs } else { Changed::Run });
        });
        let mut watch = Self { watcher: watcher.ok(), lost, home, run: Vec::new() };
        let home = watch.home.clone();
        if !watch.add(&home) {
            watch.watcher = None;
        }
        watch
    }

    fn add(&mut self, path: &Path) -> bool {
        self.watcher.as_mut().is_some_and(|w| w.watch(path, RecursiveMode::NonRecursive).is_ok())
    }

    /// Whether lists must be polled.
    pub fn must_poll(&self) -> bool {
        self.watcher.is_none() || self.lost.load(Ordering::Acquire)
    }

    /// Follows the run on view instead of the one before.
    pub fn follow(&mut self, run: Option<&str>) {
        let wanted: Vec<PathBuf> = run.map_or_else(Vec::new, |id| vec![self.home.join(id).join("checkpoints")]);
        if wanted == self.run {
            return;
        }
        for old in std::mem::take(&mut self.run) {
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&old);
            }
        }
        // A run without a checkpoints folder has none to follow yet; its trainer here says when it writes one.
        self.run = wanted
            .iter()
            .filter(|path| self.watcher.as_mut().is_some_and(|w| w.watch(path, RecursiveMode::NonRecursive).is_ok()))
            .cloned()
            .collect();
    }
}
