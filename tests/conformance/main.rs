//! What each member of a list must keep to: `aggregate` every aggregate, `model` every kind of model with every
//! optimizer, `quality` how well the latter predict.

mod aggregate;
#[path = "../common/mod.rs"]
mod common;
mod model;
mod quality;
