//! A model as requests see it: its pipeline, bound to the shelves of the online store, and its versions.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::example::{Frame, LookupSource, Pipeline, ServingPlan};
use crate::model::Input;
use crate::registry::Servable;
use crate::store::Online;
use crate::store::memory::Shelf;

/// All that a request needs of one model but its version.
#[derive(Debug)]
pub struct Served {
    pub name: String,
    /// The name of what kind of model it is.
    pub kind: String,
    pub pipeline: Pipeline,
    shelves: Vec<Arc<Shelf>>,
    /// What a version must have been made for.
    inputs: Vec<Input>,
    /// The inputs' names as JSON.
    pub quoted: Vec<String>,
    /// The beginning of every answer, up to the version.
    pub head: Vec<u8>,
    /// The newest version that was found to fit.
    fitting: ArcSwapOption<Servable>,
}

impl Served {
    /// # Panics
    /// If the store lacks a table or group of the plan: both are made from the same plan.
    pub fn new(plan: &ServingPlan, kind: &str, online: &Online) -> Self {
        let pipeline = Pipeline::new(plan);
        let shelf = |shelving: &LookupSource| match shelving {
            LookupSource::Table(name) => online.table(name),
            LookupSource::Group(name) => online.group(name),
        };
        let shelves = pipeline.sources().iter().map(shelf);
        let quote = |name: &String| serde_json::to_string(name).expect("text has a JSON form");
        Served {
            name: plan.model.clone(),
            kind: kind.to_owned(),
            shelves: shelves.map(|shelf| shelf.expect("the store has all that is looked up").clone()).collect(),
            inputs: plan.assembly.inputs(),
            quoted: pipeline.names().iter().map(quote).collect(),
            head: format!("{{\"model\":{},\"version\":", quote(&plan.model)).into_bytes(),
            fitting: ArcSwapOption::empty(),
            pipeline,
        }
    }

    /// Looks up and computes what the instances in a frame did not give.
    pub fn complete(&self, frame: &mut Frame) {
        self.pipeline.run(frame, |shelf, key| self.shelves[shelf].get_encoded(key));
    }

    /// Whether a version takes the inputs that the pipeline gives. One from before the dataflow changed may not.
    pub fn fits(&self, version: &Arc<Servable>) -> bool {
        if self.fitting.load().as_ref().is_some_and(|known| Arc::ptr_eq(known, version)) {
            return true;
        }
        let fits = version.predictor.inputs() == self.inputs;
        if fits {
            self.fitting.store(Some(version.clone()));
        }
        fits
    }
}
