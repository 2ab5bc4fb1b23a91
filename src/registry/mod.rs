//! The registry: versions of models with their artifacts, who was champion when, and the cell of the live model.
//!
//! ```text
//! {model}/{version}/weights.safetensors   everything that predicting needs
//! {model}/{version}/model.json            what the version is, with the hash of the former: written last
//! {model}/history/{number}.json           one move of an alias each, only ever added; the highest number is current
//! ```
//! Every write is of a whole object, and a version counts once its `model.json` is there; so a crash leaves no half of
//! one. Version numbers come from the trainer's own state, so publishing again after a crash changes nothing.
//!
//! [`Registry`] reads and writes, blocking; [`Writer`] does it on a thread of its own for a running dataflow; [`Live`]
//! is what requests read, without a lock.

mod artifact;
mod error;
mod history;
mod live;
mod manifest;
mod publish;
mod store;
mod writer;

pub use artifact::{decode, encode};
pub use error::RegistryError;
pub use history::{CHAMPION, Move};
pub use live::{Live, Servable};
pub use manifest::{Manifest, Offsets, Span};
pub use publish::Publication;
pub use store::Registry;
pub use writer::Writer;
