//! Programs of a plan's models, for serving.

use crate::example::{Program, ProgramBuilder};
use crate::flow::Plan;
use crate::relation::RelationOp;

impl Plan {
    /// Returns the program that turns an instance of a model, by position, into the model's inputs: the serving half of
    /// each operator on the way of an instance, then the look-ups in the order in which the graph makes them.
    pub fn program(&self, model: usize) -> Program {
        let plan = &self.models[model];
        let mut program = ProgramBuilder::default();
        for stream in &plan.instance {
            let node = self.spec.relations.node(*stream);
            node.relation.serve(&node.schema, &mut program);
        }
        for lookup in &plan.lookups {
            program.look_up_features(lookup);
        }
        program.finish(&plan.name, &plan.assembly)
    }
}
