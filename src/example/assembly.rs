//! Model inputs from an example's columns.
//!
//! An example's columns are those of its stream (the view), then the features of each group that it looks up, in the
//! order of the look-ups. [`FeatureAssembler`] turns them into the model's inputs; who brought the columns together, the graph
//! or a request, makes no difference to it.

use arrow_array::ArrayRef;

use crate::expr::{EvalStats, Expr};
use crate::model;
use crate::value::Type;

/// The inputs of one model, as expressions over an example's columns.
#[derive(Debug)]
pub struct FeatureAssembler {
    names: Vec<String>,
    exprs: Vec<Expr>,
}

impl FeatureAssembler {
    pub fn new(inputs: impl IntoIterator<Item = (String, Expr)>) -> Self {
        let (names, exprs) = inputs.into_iter().unzip();
        FeatureAssembler { names, exprs }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Names and types, as the model is made for.
    pub fn inputs(&self) -> Vec<model::InputColumn> {
        self.names
            .iter()
            .zip(&self.exprs)
            .map(|(name, expr)| model::InputColumn { name: name.clone(), ty: expr.ty() })
            .collect()
    }

    /// The inputs' expressions over an example's columns.
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    pub fn types(&self) -> impl Iterator<Item = Type> + '_ {
        self.exprs.iter().map(Expr::ty)
    }

    /// The inputs of `rows` examples, a column each.
    pub fn assemble(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Vec<ArrayRef> {
        self.exprs.iter().map(|expr| expr.eval(columns, rows, stats)).collect()
    }
}
