//! Programs of a plan's models, for serving.

use crate::aggregate::GroupState;
use crate::example::{FeatureLookup, Program, ProgramBuilder};
use crate::flow::Plan;
use crate::flow::plan::LookupPlan;
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
            program.look_up_features(&self.feature_lookup(lookup));
        }
        program.finish(&plan.name, &plan.assembly)
    }

    /// Returns how serving looks features up.
    pub fn feature_lookup(&self, lookup: &LookupPlan) -> FeatureLookup {
        let group = &self.groups[lookup.group];
        FeatureLookup {
            group: group.name.clone(),
            key: group.codec.types().to_vec(),
            entity: lookup.entity.clone(),
            features: lookup.features.clone(),
            names: group.names.iter().map(|feature| format!("{}.{feature}", group.name)).collect(),
            types: lookup.features.iter().map(|feature| group.types[*feature].of_values()).collect(),
            forms: lookup.features.iter().map(|feature| group.forms[*feature]).collect(),
            derived: group.derived.clone(),
            empty: GroupState::new(&group.layout).vector(None, None).into(),
            own: lookup.own.clone(),
        }
    }
}
