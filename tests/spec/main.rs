//! Dataflow files: `checking` what a file that passes says, `mistakes` what is said of one that does not.

mod checking;
mod mistakes;
