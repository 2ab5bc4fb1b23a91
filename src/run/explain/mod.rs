//! `features explain`: the records that a feature is of, and its value recomputed from just those.
//!
//! The topics are read again, so a running job keeps nothing for it. The path of one record:
//!
//! | step | where |
//! |---|---|
//! | The partitions of the topics that the group reads are opened, from where its windows begin | [`topics`] |
//! | A record passes the operators of the group's stream; table rows are those as of its time | [`lineage`], `table_history` |
//! | If it is of the entity, it is kept with the place that it came from | [`lineage`] |
//! | The window of a feature says whether it counts; those that do are aggregated again | [`contributions`] |
//! | The value is compared with what a job serves, or a replay has written | `served` |
//! | Both are printed | `report` |
//!
//! The operators, the projection, the windows and the aggregates are those of the graph, each called on its own. What is
//! left out is what the graph adds to them: workers, frontiers, checkpoints. So an equal value says that these changed
//! nothing.

pub mod contributions;
pub mod lineage;
mod report;
mod served;
mod table_history;
pub mod topics;
mod verb;

pub use verb::{ExplainOptions, run};
