//! The learning rate over time: a pure function of the step, but for the plateau schedule's small state.
