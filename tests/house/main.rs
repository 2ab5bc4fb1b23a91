//! The project itself: `tidy` the rules for its sources, `docs` its documents, `reference` what the program writes of
//! itself, `draw` the pictures of its dataflows.

mod docs;
mod draw;
mod reference;
mod tidy;
mod tokens;
