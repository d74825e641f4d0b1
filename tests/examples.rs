//! The examples show what they say.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, missing_docs)]

use frostline::engine::torch::TorchEngine;

#[allow(dead_code)]
#[path = "../examples/frozen_middle.rs"]
mod frozen_middle;
#[allow(dead_code)]
#[path = "../examples/no_grad_middle.rs"]
mod no_grad_middle;

#[test]
fn a_frozen_middle_block_keeps_its_bits_while_both_neighbours_move() {
    frozen_middle::show(&TorchEngine).unwrap();
}

#[test]
fn no_grad_in_the_middle_stops_what_is_before_it_unless_a_path_leads_around_it() {
    no_grad_middle::show(&TorchEngine).unwrap();
}
