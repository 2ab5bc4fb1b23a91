//! Dataflow files.
//!
//! | file | covers |
//! |---|---|
//! | `checking` | files without mistakes, and random edits of them |
//! | `mistakes` | the errors of files with mistakes, as golden files |

mod checking;
mod mistakes;
