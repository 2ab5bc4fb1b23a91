//! The cost of an aggregate's state.

/// Bytes of state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of an entity, without its panes.
    pub entity: usize,
    /// Of each pane of an entity.
    pub pane: usize,
}
