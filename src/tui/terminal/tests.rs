//! Ways out that a whole screen cannot be brought to: a panic of the drawing thread, in a pseudo-terminal. The test
//! runs itself as a child there.

use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::*;

const CHILD: &str = "FROSTLINE_TEST_PANIC";

#[test]
fn child_panics_on_the_screen() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut tty = enter(Path::new("/dev/null")).unwrap();
    tty.write_all(b"on the screen").unwrap();
    print!("a stray print");
    panic!("the drawing broke");
}

#[test]
fn a_panic_restores_the_terminal_before_its_message_and_stray_prints_do_not_reach_the_screen() {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tui::terminal::tests::child_panics_on_the_screen", "--nocapture"]);
    command.env(CHILD, "1");
    command.env("RUST_BACKTRACE", "0");
    // Before the child enters.
    let before = pair.master.get_termios().unwrap().local_flags;
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
    }
    child.wait().unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what:?} is missing: {text:?}"));
    assert!(at("\x1b[?1049h") < at("on the screen"));
    assert!(at("on the screen") < at("\x1b[?1049l"), "the alternate screen is left");
    assert!(at("\x1b[?1049l") < at("the drawing broke"), "the message comes after it");
    assert!(at("\x1b[?25h") < at("the drawing broke"), "the cursor is shown");
    assert!(!text.contains("a stray print"), "{text:?}");
    assert_eq!(before, pair.master.get_termios().unwrap().local_flags, "raw mode is off");
}
