//! `top`: operators, sources, models and the endpoint of a running job in a terminal.
//!
//! Everything is read from the job's `/metrics`, twice for what is per second, and `/health/ready`.
//!
//! | file | contents |
//! |---|---|
//! | `verb` | the verb: asks, waits, prints |
//! | `exposition` | reads the text of `/metrics` |
//! | `activity` | what a job does, from two readings of its metrics |
//! | `screen` | the activity as text |

mod activity;
mod exposition;
mod screen;
mod verb;

pub use verb::{TopOptions, run};
