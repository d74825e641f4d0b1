//! What can compute.

use crate::app::action::Action;
use crate::app::effect::Effect;

pub(super) fn act(action: Action) -> Vec<Effect> {
    match action {
        Action::RefreshDevices => vec![Effect::ReadDevices],
        _ => Vec::new(),
    }
}
