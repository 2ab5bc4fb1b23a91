//! HTTP and metrics as clients see them.
//!
//! | file | covers |
//! |---|---|
//! | `bodies` | request bodies: content types, gzip |
//! | `chromium`, `dashboard` | the pages of the dashboard, with a real browser and without |
//! | `entities` | feature vectors of many entities at once |
//! | `explained` | explanations of predictions |
//! | `explainer` | explanations of features: their places, their limits, clients that leave |
//! | `fuzz` | requests made of parts at random, for every reader |
//! | `gateway` | what it passes on, whom it chooses, servers that fail |
//! | `http` | every route and error, over real sockets |
//! | `instances` | what an instance must contain, and what its time does |
//! | `limits` | connections, the reserve, bodies in all, half-closed connections, hosts |
//! | `logged` | the log of predictions |
//! | `market` | a dataflow with features of every form, for replicas |
//! | `moves` | moves of aliases, tokens of roles |
//! | `protocols` | the protocols of other servers, with their clients |
//! | `prometheus` | metrics, config and alert rules, with a real Prometheus |
//! | `python` | the Python client of this repository |
//! | `recommend` | items ranked for a user |
//! | `replica` | replicas: the bytes of the run, without the run, without Redis, of another file |
//! | `secrets` | secrets are in nothing that a run says or writes |
//! | `shutdown` | the end of a run that hangs, permissions of files, the warning of an open address |
//! | `top` | `tidemill top` |
//! | `splits` | arms of a split: which one answers, what the answer says of it, shadows |
//! | `tls` | certificates, real clients, handshakes |
//! | `windows` | features in windows that requests ask for |

mod bodies;
mod chromium;
#[path = "../common/mod.rs"]
mod common;
mod dashboard;
mod entities;
mod explained;
mod explainer;
mod fuzz;
mod gateway;
mod http;
mod instances;
mod limits;
mod logged;
mod market;
mod moves;
mod prometheus;
mod protocols;
mod python;
mod recommend;
mod replica;
mod secrets;
mod shutdown;
mod splits;
mod tls;
mod top;
mod windows;
