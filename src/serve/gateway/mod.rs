//! The gateway: passes requests on to one of several servers, which are runs of one dataflow.
//!
//! | a request | where |
//! |---|---|
//! | arrives, within the limits and by the tokens of the gateway's own endpoint | [`Gateway`] |
//! | is read whole, so that it can be sent twice | `gateway_service` |
//! | has a server chosen for it: in turn, the least busy one, or by its entity | `choice`, `entity` |
//! | is sent on a connection that is kept, without headers that are of one connection only | `exchange`, `idle`, `forwarded` |
//! | is sent to another server if the first one fails and it changes nothing | `gateway_service` |
//! | is answered: a small answer whole, so that a server may fail before its end, a large one as it comes | `answer_body` |
//!
//! A server that fails is taken out at once. `health` asks each of them regularly, and removes and restores them.
//!
//! ```
//! use tidemill::serve::BackendUrl;
//! assert_eq!(BackendUrl::parse("http://replica-0:8080/").unwrap().to_string(), "http://replica-0:8080");
//! assert_eq!(BackendUrl::parse("replica-0:8080"), None);
//! ```

mod answer_body;
mod backend;
mod choice;
mod entity;
mod exchange;
mod forwarded;
mod gateway_service;
mod health;
mod idle;

pub use backend::BackendUrl;
pub use choice::BalancePolicy;
pub use gateway_service::{Gateway, GatewayConfig};
pub use health::HealthChecks;
