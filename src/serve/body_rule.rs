//! The body that a route takes.

/// The body that a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// No body; one that is sent is not read.
    None,
    /// The whole body, within the limits of the endpoint.
    Whole,
    /// The same, which is one message of gRPC.
    #[cfg(feature = "grpc")]
    Message,
}
