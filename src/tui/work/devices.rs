//! Readings of the devices, one for each time that the screen asks. Nothing is loaded before the first.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use super::{Job, next};
use crate::app::Message;
use crate::session::Telemetry;
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, post: &Post) {
    let mut telemetry = None;
    let mut waiting = VecDeque::new();
    while next(queue, &mut waiting).is_some() {
        let survey = telemetry.get_or_insert_with(Telemetry::open).survey();
        if !post.message(Message::Survey(survey)) {
            return;
        }
    }
}
