//! `init`: a dataflow file to begin with, from a sample of a file or a topic.
//!
//! Facts that a sample does not show are guessed. Every guess is explained in a comment of the file that it is written
//! to, and one that may well be wrong is marked *unsure* there and on stderr. The file is checked before it is written,
//! so that it passes `check` whatever the sample has.
//!
//! | file | contents |
//! |---|---|
//! | `verb` | the verb: samples, drafts, checks, writes |
//! | `topic` | a sample of a topic |
//! | `names` | words of names, and names that need no quotes |
//! | `forms` | the form of a value, and the texts that mean null |
//! | `clock` | layouts of times in text, and units of times in numbers |
//! | `column` | the type of a column |
//! | `timing` | the event time, and how far out of order records are |
//! | `entity` | the columns that identify entities |
//! | `target` | the label, and the kind of model that predicts it |
//! | `spans` | the lengths of windows |
//! | `sketch` | all guesses about a sample |
//! | `groups` | feature groups as text |
//! | `draft` | the dataflow file and the config as text |

mod clock;
mod column;
mod draft;
mod entity;
mod forms;
mod groups;
mod names;
mod sketch;
mod spans;
mod target;
mod timing;
mod topic;
mod verb;

pub use verb::{InitOptions, run};
