//! Explanations by a running job: of its own plan, from its own topics, on threads of their own.

use std::sync::Arc;

use rustix::process::setpriority_process;

use super::answer::answer;
use super::error::ExplainError;
use super::topics::BoundTopics;
use crate::flow::Plan;
use crate::run::config::Config;
use crate::serve::explainer::FeatureExplainer;

/// The niceness of a thread that explains. The workers of the graph have the processors first.
const NICENESS: i32 = 5;

/// Returns the explainer of a job.
pub fn explainer(plan: &Arc<Plan>, config: &Config) -> FeatureExplainer {
    let (plan, config) = (plan.clone(), config.clone());
    FeatureExplainer::new(move |request, limits| {
        // On Linux this is the niceness of the present thread. If the system refuses, the thread is like any other.
        let _ = setpriority_process(None, NICENESS);
        let failed = |failure| ExplainError::Topic(failure).into_answer();
        let topics = BoundTopics::new(&config, &plan.spec.name).map_err(failed)?;
        answer(&plan, request, &topics, limits).map_err(ExplainError::into_answer)
    })
}
