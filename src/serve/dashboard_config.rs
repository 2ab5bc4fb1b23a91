//! The parts of the dashboard that a run adds: the picture of its graph, and its dead letters.

use std::fmt;
use std::sync::Arc;

use super::letter_board::LetterBoard;
use super::operator_rates::SampledRates;

/// Draws the graph with the rates of its nodes, as an SVG.
type DrawGraph = dyn Fn(&SampledRates) -> String + Send + Sync;

/// Parts of the dashboard that are not of the state that requests are answered from.
#[derive(Clone)]
pub struct DashboardConfig {
    pub letters: Arc<LetterBoard>,
    pub graph: Arc<DrawGraph>,
}

/// No dead letters and no picture.
impl Default for DashboardConfig {
    fn default() -> Self {
        DashboardConfig { letters: Arc::default(), graph: Arc::new(|_| String::new()) }
    }
}

impl fmt::Debug for DashboardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardConfig").field("letters", &self.letters).finish_non_exhaustive()
    }
}
