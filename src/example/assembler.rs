//! Model inputs from an example's columns.

use arrow_array::ArrayRef;

use crate::expr::{EvalStats, Expr};
use crate::model;
use crate::value::Type;

/// The inputs of one model, as expressions over an example's columns: those of its stream, then the features of each
/// group that it looks up, in the order of the look-ups.
#[derive(Debug)]
pub struct FeatureAssembler {
    names: Vec<String>,
    exprs: Vec<Expr>,
}

impl FeatureAssembler {
    /// An assembler of inputs given by name and expression.
    pub fn new(inputs: impl IntoIterator<Item = (String, Expr)>) -> Self {
        let (names, exprs) = inputs.into_iter().unzip();
        FeatureAssembler { names, exprs }
    }

    /// Returns the names of the inputs, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns names and types of the inputs, as a model declares them.
    pub fn inputs(&self) -> Vec<model::InputColumn> {
        self.names
            .iter()
            .zip(&self.exprs)
            .map(|(name, expr)| model::InputColumn { name: name.clone(), ty: expr.ty() })
            .collect()
    }

    /// Returns the expressions of the inputs, over an example's columns.
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    /// Returns the types of the inputs, in order.
    pub fn types(&self) -> impl Iterator<Item = Type> + '_ {
        self.exprs.iter().map(Expr::ty)
    }

    /// Evaluates the inputs of `rows` examples; returns a column for each input.
    pub fn assemble(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Vec<ArrayRef> {
        self.exprs.iter().map(|expr| expr.eval(columns, rows, stats)).collect()
    }
}
