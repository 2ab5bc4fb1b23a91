//! Explanations of served features: the records that they are of, on request.
//!
//! Requests are answered here, but sources are read elsewhere: a run hands a function over by which its features are
//! explained, and a replica none. The path of one request:
//!
//! | step | where |
//! |---|---|
//! | The handler checks the group, the entity and the features, and looks up the vector that is served | `native`, `dashboard` |
//! | It takes one of a few places; without a free one, the request is refused | `feature_explainer` |
//! | A thread of its own reads the sources, within a time and a number of records | `feature_explainer`, `limits` |
//! | If the client leaves meanwhile, the thread is told and ends | `feature_explainer`, `limits` |
//! | The answer is JSON, or a table of the dashboard | [`FeatureExplanation`] |

mod explanation;
mod failure;
mod feature_explainer;
mod limits;
mod named;

pub use explanation::{ExplainedFeature, ExplainedRecord, ExplainedWindow, FeatureExplanation};
pub use failure::ExplanationFailure;
pub use feature_explainer::{
    AT_ONCE, ExplainedMoment, ExplanationRequest, FeatureExplainer, ReservedExplanation, ServedVector,
};
pub use limits::ExplanationLimits;
pub use named::{NamedValue, NamedValues};
