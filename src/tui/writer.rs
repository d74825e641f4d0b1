//! The thread that writes frames to the terminal, so that a stalled one (flow control, a slow line) holds up nothing
//! else. At most one frame waits; while it does, nothing is drawn, so the frame rate falls to what the line takes.
//!
//! Ends when its [`Writer`] is dropped and the last frame is written, or with the process.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The loop's end.
pub struct Writer {
    frames: SyncSender<Vec<u8>>,
    busy: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. `written` is called after each frame; `lost` when the terminal is gone.
    pub fn start(
        out: impl Write + Send + 'static,
        written: impl Fn() + Send + 'static,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (frames, queue) = sync_channel(1);
        let busy = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&busy);
        let work = move || write_all(out, &queue, &flag, written, lost);
        std::thread::Builder::new().name("frostline-screen".to_owned()).spawn(work)?;
        Ok(Self { frames, busy })
    }

    /// Whether the last frame is still being written.
    pub fn busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Hands a frame over; only when not busy.
    pub fn send(&self, frame: Vec<u8>) {
        self.busy.store(true, Ordering::Release);
        if self.frames.try_send(frame).is_err() {
            // The thread is gone with the terminal; `lost` has told the loop.
            self.busy.store(false, Ordering::Release);
        }
    }

    /// Waits until the last frame is written, at most so long.
    pub fn settle(&self, most: Duration) {
        let end = Instant::now() + most;
        while self.busy() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn write_all(
    mut out: impl Write,
    queue: &Receiver<Vec<u8>>,
    busy: &AtomicBool,
    written: impl Fn(),
    lost: impl FnOnce(),
) {
    while let Ok(frame) = queue.recv() {
        let result = out.write_all(&frame).and_then(|()| out.flush());
        busy.store(false, Ordering::Release);
        if result.is_err() {
            lost();
            return;
        }
        written();
    }
}

/// Where ratatui's backend writes: a buffer that the loop takes after each frame.
#[derive(Clone, Default)]
pub struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    /// What was written since the last call.
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    struct Stalled(Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_terminal_leaves_the_caller_free_and_a_lost_one_is_told() {
        let (go, stalled) = channel();
        let (tell, told) = channel();
        let told_written = tell.clone();
        let writer = Writer::start(
            Stalled(stalled),
            move || told_written.send("written").unwrap(),
            move || tell.send("lost").unwrap(),
        )
        .unwrap();
        writer.send(b"one".to_vec());
        assert!(writer.busy(), "the frame waits for the terminal, the caller does not");
        go.send(()).unwrap();
        assert_eq!(told.recv().unwrap(), "written");
        assert!(!writer.busy());
        drop(go);
        writer.send(b"two".to_vec());
        assert_eq!(told.recv().unwrap(), "lost");
    }
}
