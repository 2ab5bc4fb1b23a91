//! What the test programs share: servers and runs of the program as children, data made up for models and endpoints, and
//! the engine with its naive oracle.

#![allow(dead_code, reason = "each program uses a part")]

pub mod engine;
pub mod naive;
pub mod program;
pub mod servers;
pub mod shop;
pub mod spec;
pub mod topics;
pub mod training;
