//! The one place that knows how to write a file so that it survives a kill or a power cut.
