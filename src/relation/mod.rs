//! Relations: the operators that a dataflow's streams are made of.
//!
//! The streams of a dataflow form a graph: sources, the views on them, and the steps inside a view. [`Relations`] holds
//! it in topological order. Each operator is one file with all its faces side by side:
//!
//! - **declaration**: its inputs, its columns, its canonical text (of which definition hashes are made), how long it
//!   keeps a record ([`RelationOp`]);
//! - **training**: how it is rendered into a graph that runs on batches of records as of their time ([`TrainingGraph`]);
//! - **serving**: the steps that it adds to the program of an instance, as of now ([`ProgramBuilder`]).
//!
//! Training and serving share the declaration and no more than that: the same bound expressions, evaluated by the same
//! [`Expr::eval`](crate::expr::Expr::eval), the same keys and the same order of columns. Each of the two walks over it
//! by code of its own, and where they must differ the file says so: serving reads a table's newest row and a group's
//! newest vector instead of those as of the record's time, ignores a WHERE and an `at`, and keeps an instance whose
//! JOIN finds no row. `tests/oracle/serving.rs` runs both halves of every operator on the same records and compares the
//! bits.
//!
//! ```
//! use tidemill::expr::{Expr, Scope};
//! use tidemill::relation::{Filter, Project, Relation, Relations, SourceRecords};
//! use tidemill::value::{Column, Schema, Type};
//!
//! let schema = Schema::new(vec![Column::new("x", Type::Int, false), Column::new("at", Type::Timestamp, false)]);
//! let scope = Scope::of("a", &schema);
//! let mut relations = Relations::default();
//! let a = relations.add_source(SourceRecords { source: 0, name: "a".to_owned(), schema: schema.clone(), time: Some(1) });
//! let positive = Expr::parse("x > 0", &scope).unwrap();
//! let kept = relations.add("view.v.where", Relation::Filter(Filter { input: a, predicate: positive }));
//! let items = vec![(Column::new("x", Type::Int, false), Expr::column(0, &schema.columns[0]))];
//! let view = relations.add("view.v", Relation::Project(Project::new(kept, items)));
//! relations.set_name(view, "v");
//!
//! assert_eq!(relations.sources(view), [0]);
//! assert_eq!(relations.schema(view).names().collect::<Vec<_>>(), ["x"]);
//! assert_eq!(relations.describe(view), "from a, filtered");
//! assert_eq!(relations.path(a, view), Ok(vec![a, kept, view]));
//! ```

mod filter;
mod graph;
mod group_join;
mod op;
mod project;
mod shift;
mod shifted_batch;
mod source;
mod stream;
mod table_join;
mod union;

pub use filter::Filter;
pub use graph::{RelationNode, Relations};
pub use group_join::GroupJoin;
pub use op::{CanonicalText, DeclaredTexts, RelationOp, TrainingGraph};
pub use project::{Project, project};
pub use shift::Shift;
pub use shifted_batch::ShiftedBatch;
pub use source::SourceRecords;
pub use stream::{StreamId, ViewReads};
pub use table_join::TableJoin;
pub use union::{ColumnMismatch, Union};

use crate::example::ProgramBuilder;
use crate::value::Schema;

/// An operator.
#[derive(Debug)]
pub enum Relation {
    /// The records of a source.
    Source(SourceRecords),
    /// WHERE: the records for which a condition is true.
    Filter(Filter),
    /// SELECT items: other columns, computed from the input's.
    Project(Project),
    /// `[LEFT] JOIN` with a table: the row as of the record's time, appended.
    TableJoin(TableJoin),
    /// `LEFT JOIN` with a feature group: the entity's features as of the record's time, appended.
    GroupJoin(GroupJoin),
    /// `at`: the same records at later times.
    Shift(Shift),
    /// UNION ALL: the records of all inputs.
    Union(Union),
}

/// Evaluates an expression on whichever operator a relation is. The only place that lists them beside the enum.
macro_rules! dispatch {
    ($relation:expr, $op:ident => $value:expr) => {
        match $relation {
            Relation::Source($op) => $value,
            Relation::Filter($op) => $value,
            Relation::Project($op) => $value,
            Relation::TableJoin($op) => $value,
            Relation::GroupJoin($op) => $value,
            Relation::Shift($op) => $value,
            Relation::Union($op) => $value,
        }
    };
}

impl RelationOp for Relation {
    fn inputs(&self) -> Vec<StreamId> {
        dispatch!(self, op => op.inputs())
    }

    fn schema(&self, inputs: &[&Schema]) -> Schema {
        dispatch!(self, op => op.schema(inputs))
    }

    fn canonical(&self, inputs: Vec<CanonicalText>, declared: &DeclaredTexts) -> CanonicalText {
        dispatch!(self, op => op.canonical(inputs, declared))
    }

    fn describe(&self, inputs: &[String]) -> String {
        dispatch!(self, op => op.describe(inputs))
    }

    fn add_reads(&self, reads: &mut ViewReads) {
        dispatch!(self, op => op.add_reads(reads));
    }

    fn waits_for(&self) -> Option<usize> {
        dispatch!(self, op => op.waits_for())
    }

    fn saves_state(&self) -> bool {
        dispatch!(self, op => op.saves_state())
    }

    fn render<G: TrainingGraph>(&self, name: &str, inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        dispatch!(self, op => op.render(name, inputs, graph))
    }

    fn serve(&self, schema: &Schema, program: &mut ProgramBuilder) {
        dispatch!(self, op => op.serve(schema, program));
    }
}
