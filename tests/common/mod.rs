//! What the tests of the engine share.

#![allow(dead_code, reason = "each test uses its part")]

pub mod engine;
pub mod naive;
pub mod spec;
pub mod topics;
