//! What the tests of the engine share.

#![allow(dead_code)]

pub mod engine;
pub mod naive;
pub mod spec;
pub mod topics;
