//! Laws that every member of a list keeps.
//!
//! | file | covers |
//! |---|---|
//! | `aggregate` | every aggregate of `KINDS` |
//! | `artifact` | predictions of `examples/score.py` from artifacts |
//! | `explained` | explanations of predictions, by every kind of model |
//! | `model` | every kind of model, with every optimizer |
//! | `nested` | lists and maps as inputs of every kind of model |
//! | `prepared` | how inputs are prepared, and how much examples count |
//! | `quality` | prequential scores on a generated drift and on classic data sets |
//! | `ranked` | gates and arms that are compared by how well they rank |
//! | `reported` | scores by segment and of persistence |
//! | `untuned` | models at their defaults on what is rare, tiny, constant or diverges |

mod aggregate;
mod artifact;
#[path = "../common/mod.rs"]
mod common;
mod explained;
mod model;
mod nested;
mod prepared;
mod quality;
mod ranked;
mod reported;
mod untuned;
