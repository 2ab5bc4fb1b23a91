//! What of a plan serving needs: the steps from a record of the driving source to a model's inputs.

use crate::example::{GroupLookup, ServingPlan, TableLookup, ViewSteps};
use crate::flow::Plan;
use crate::flow::plan::{JoinPlan, LookupPlan, ViewPlan};
use crate::spec::StreamRef;
use crate::time::EventTime;

impl Plan {
    /// How the instances of a model, by position, are served.
    pub fn serving(&self, model: usize) -> ServingPlan {
        let plan = &self.models[model];
        let mut views = Vec::new();
        let mut stream = plan.examples;
        let source = loop {
            match stream {
                StreamRef::Source(source) => break source,
                StreamRef::View(view) => {
                    views.push(self.view_steps(&self.views[view]));
                    stream = self.views[view].from;
                }
            }
        };
        views.reverse();
        let topic = &self.spec.sources[source].topic;
        ServingPlan {
            model: plan.name.clone(),
            stream: topic.schema.clone(),
            time: topic.time,
            views,
            lookups: plan.lookups.iter().map(|lookup| self.group_lookup(lookup)).collect(),
            assembly: plan.assembly.clone(),
        }
    }

    fn view_steps(&self, view: &ViewPlan) -> ViewSteps {
        ViewSteps {
            joins: view.joins.iter().map(|join| self.table_lookup(join)).collect(),
            items: view.items.clone(),
            schema: view.schema.clone(),
        }
    }

    fn table_lookup(&self, join: &JoinPlan) -> TableLookup {
        TableLookup {
            table: join.table.clone(),
            key: join.key_codec.types().to_vec(),
            on: join.keys.clone(),
            schema: self.tables[join.index].schema.clone(),
        }
    }

    fn group_lookup(&self, lookup: &LookupPlan) -> GroupLookup {
        let group = &self.groups[lookup.group];
        GroupLookup {
            group: group.name.clone(),
            key: group.codec.types().to_vec(),
            entity: lookup.entity.clone(),
            features: lookup.features.clone(),
            names: lookup.features.iter().map(|feature| format!("{}.{}", group.name, group.names[*feature])).collect(),
            types: lookup.features.iter().map(|feature| group.scalar_type(*feature)).collect(),
            // An answer without records does not depend on the asking time.
            empty: group.layout.empty().iter().map(|feature| feature.scalar(EventTime::MIN)).collect(),
        }
    }
}
