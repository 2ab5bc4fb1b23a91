//! The endpoint as its clients know it: `http` over real sockets, `prometheus` through a real scraper.

#[path = "../common/mod.rs"]
mod common;
mod http;
mod prometheus;
