//! Labels that are known when a prediction is requested.

use std::collections::BTreeSet;
use std::ops::Range;

use super::checker::Checker;
use super::{Label, Model};
use crate::example::{FeatureAssembler, ProgramBuilder};
use crate::expr::Expr;
use crate::model::InputColumn;
use crate::relation::RelationOp;

impl Checker<'_> {
    /// Warns of columns of the source from which both the label and inputs of a model are made: an instance would have to
    /// contain them.
    pub fn warn_of_leaks(&self, model: &Model, label: Range<usize>) {
        let Label::Immediate { value } = &model.label else { return };
        let of_label = self.source_columns(model, value);
        let shared = model.inputs.iter().find_map(|input| {
            let of_input = self.source_columns(model, &input.expr);
            Some((of_label.intersection(&of_input).next()?.clone(), &input.name))
        });
        if let Some((column, input)) = shared {
            let message = format!(
                "the label is made from '{column}', as is the input '{input}', and an instance must contain it"
            );
            self.problems.warn(label, message, "inputs that are known before the label");
        }
    }

    /// Returns the names of the source's columns from which an expression over the examples is made, features aside.
    fn source_columns(&self, model: &Model, expr: &Expr) -> BTreeSet<String> {
        let stream = self.spec.stream_schema(model.examples);
        let mut program = ProgramBuilder::default();
        for stream in &model.instance {
            let node = self.spec.relations.node(*stream);
            node.relation.serve(&node.schema, &mut program);
        }
        let of_stream = expr.columns().into_iter().filter(|column| *column < stream.len());
        let input = |at: usize| {
            let column = &stream.columns[at];
            (InputColumn::new(column.name.as_str(), column.ty), Expr::column(at, column))
        };
        let read = of_stream.map(input);
        let program = program.finish(&model.name, &FeatureAssembler::new(read));
        let source = self.spec.stream_schema(model.instance[0]);
        program.needed_columns().map(|column| source.columns[column].name.clone()).collect()
    }
}
