//! The project itself: `tidy`, `names`, `circles`, `functions` and `prose` the rules for its sources, `docs` and
//! `architecture` its documents, `dependencies` the crates that it uses, `reference` what the program writes of itself,
//! `draw` the pictures of its dataflows.

mod architecture;
mod circles;
mod dependencies;
mod docs;
mod draw;
mod functions;
mod names;
mod prose;
mod reference;
mod tidy;
mod tokens;
mod tree;
