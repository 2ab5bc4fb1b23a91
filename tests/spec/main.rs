//! Dataflow files.
//!
//! | file | covers |
//! |---|---|
//! | `checking` | files without mistakes, and random edits of them |
//! | `command_line` | the program itself: where it prints, and what it says of files that it cannot use |
//! | `deployment` | the files that start the program in production |
//! | `depth` | expressions of any depth and length |
//! | `features_of_features` | views that look feature groups up |
//! | `guides` | the commands of `docs/guides`, which print what is shown there |
//! | `init` | dataflow files from samples |
//! | `log_file` | the log file, completions and manual pages |
//! | `look_ups` | groups that are looked up by columns of other names |
//! | `mistakes` | the errors of files with mistakes, as golden files |
//! | `reports` | segments, persistence and weights, in what a replay prints and in the registry |
//! | `schemas` | the JSON schemas of dataflow files and configs |
//! | `test_verb` | `[[test]]` blocks, as `tidemill test` runs them |
//! | `windows` | windows of every kind: names, plan, definitions |

mod checking;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod deployment;
mod depth;
mod features_of_features;
mod guides;
mod init;
mod log_file;
mod look_ups;
mod mistakes;
mod reports;
mod schemas;
mod test_verb;
mod windows;
