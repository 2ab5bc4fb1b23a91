//! `models`: the versions and aliases of models, on a registry or through a running job.
//!
//! | file | contents |
//! |---|---|
//! | `verb` | the command line |
//! | `place` | where the models are: a registry, or the endpoint of a job |
//! | `splits` | the arms that answer for a model |
//! | `tables` | what is printed |

mod place;
mod splits;
mod tables;
mod verb;

pub use verb::ModelsVerb;
