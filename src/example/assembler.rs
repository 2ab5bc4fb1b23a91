//! Model inputs from an example's columns.

use arrow_array::ArrayRef;

use crate::expr::{EvalStats, Expr};
use crate::model::{InputColumn, InputShape};
use crate::value::Type;

/// The inputs of one model, as expressions over an example's columns: those of its stream, then the features of each
/// group that it looks up, in the order of the look-ups.
#[derive(Debug)]
pub struct FeatureAssembler {
    names: Vec<String>,
    forms: Vec<InputShape>,
    exprs: Vec<Expr>,
}

impl FeatureAssembler {
    /// An assembler of inputs, each with the expression that it is. A list or a map is a column.
    pub fn new(inputs: impl IntoIterator<Item = (InputColumn, Expr)>) -> Self {
        let (inputs, exprs): (Vec<InputColumn>, _) = inputs.into_iter().unzip();
        let forms = inputs.iter().map(|input| input.form).collect();
        FeatureAssembler { names: inputs.into_iter().map(|input| input.name).collect(), forms, exprs }
    }

    /// Returns the names of the inputs, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns names and types of the inputs, as a model declares them.
    pub fn inputs(&self) -> Vec<InputColumn> {
        let inputs = self.names.iter().zip(&self.forms).zip(&self.exprs);
        inputs.map(|((name, form), expr)| InputColumn { form: *form, ..InputColumn::new(name, expr.ty()) }).collect()
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
        let column = |(expr, form): (&Expr, &InputShape)| match expr.as_column() {
            Some(column) if !form.is_value() => columns[column].clone(),
            _ => expr.eval(columns, rows, stats),
        };
        self.exprs.iter().zip(&self.forms).map(column).collect()
    }
}
