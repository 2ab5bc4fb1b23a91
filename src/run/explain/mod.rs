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
//! | The value is compared with what a job serves, or a replay has written | `served`, `report` |
//! | Both are printed, or sent | `text`, `in_job` |
//!
//! A request comes from the verb, which reads the topics in a process of its own, or from the endpoint of a running job, which
//! reads them on a thread of its own and has limits. `answer` answers both.
//!
//! The operators, the projection, the windows and the aggregates are those of the graph, each called on its own. What is
//! left out is what the graph adds to them: workers, frontiers, checkpoints. So an equal value says that these changed
//! nothing.

mod answer;
pub mod contributions;
mod error;
mod in_job;
pub mod lineage;
mod report;
mod served;
mod table_history;
mod text;
pub mod topics;
mod verb;

pub use in_job::explainer;
pub use verb::{ExplainOptions, run};
