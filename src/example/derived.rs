//! Derived features: expressions over the other features of a group.
//!
//! A vector has no derived features. They are computed from it, as of an asking time, by each reader: the look-ups of
//! examples and the offline file for the rows of a batch together, a request for the vectors that it shows, the writer of
//! Redis for each entity. So a derived feature of one that depends on the asking time does so, too, and one of features
//! that count the record that looks up counts it. All evaluate the same expression over columns of the same types, so
//! their results have the same bits.
//!
//! ```
//! use tidemill::aggregate::{Feature, FeatureType};
//! use tidemill::example::DerivedFeature;
//! use tidemill::expr::{Expr, Scope};
//! use tidemill::value::{Column, Scalar, Schema, Type};
//!
//! let features = Schema::new(vec![Column::new("sum_1h", Type::Float, true), Column::new("sum_7d", Type::Float, true)]);
//! let ratio = Expr::parse("sum_1h / sum_7d", &Scope::of("spend", &features)).unwrap();
//! let ratio = DerivedFeature::new(&ratio, |_| Type::Float);
//! let vector = |a: f64, b: f64| [Scalar::Float(a), Scalar::Float(b)].map(Feature::Value);
//! assert_eq!(ratio.of_vector(&vector(1.0, 4.0), 0), Scalar::Float(0.25));
//! assert_eq!(ratio.of_vector(&vector(1.0, 0.0), 0), Scalar::Null);
//! ```

use arrow_array::ArrayRef;

use crate::aggregate::Feature;
use crate::expr::{EvalStats, Expr};
use crate::time::EventTime;
use crate::value::{ColumnBuilder, Scalar, Type};

/// An expression over features of a group.
#[derive(Clone, Debug)]
pub struct DerivedFeature {
    /// The features that it reads: positions in the group's vectors, and types.
    reads: Vec<(usize, Type)>,
    /// The expression, over the columns of these.
    expr: Expr,
}

impl DerivedFeature {
    /// The feature of an expression whose columns are positions in the group's vectors, given the types of features there.
    pub fn new(expr: &Expr, ty: impl Fn(usize) -> Type) -> Self {
        let columns = expr.columns();
        let to = |column: usize| columns.binary_search(&column).expect("all columns that are read were collected");
        DerivedFeature { expr: expr.remap(&to), reads: columns.iter().map(|column| (*column, ty(*column))).collect() }
    }

    /// Returns the features that it reads: positions in the group's vectors, and types.
    pub fn reads(&self) -> &[(usize, Type)] {
        &self.reads
    }

    /// Returns the expression, over the columns of the features that it reads.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Evaluates the feature for `rows` vectors, given the column of a feature by its position in them.
    pub fn eval(&self, column: impl Fn(usize) -> ArrayRef, rows: usize, stats: &mut EvalStats) -> ArrayRef {
        let columns: Vec<ArrayRef> = self.reads.iter().map(|(position, _)| column(*position)).collect();
        self.expr.eval(&columns, rows, stats)
    }

    /// Returns the value for one vector as of an asking time.
    pub fn of_vector(&self, vector: &[Feature], asking: EventTime) -> Scalar {
        let column = |(position, ty): &(usize, Type)| {
            let mut column = ColumnBuilder::new(*ty);
            vector[*position].append_to(&mut column, asking);
            column.finish()
        };
        let columns: Vec<ArrayRef> = self.reads.iter().map(column).collect();
        Scalar::typed(self.expr.ty(), &self.expr.eval(&columns, 1, &mut EvalStats::default()), 0)
    }
}
