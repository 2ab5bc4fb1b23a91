//! Losses of a weighted sum, as the optimizers see them.

/// A loss as a function of the weighted sum of an example, convex in it.
pub trait Loss {
    /// Returns the derivative of the loss by the sum.
    fn slope(&self, sum: f64, target: f64) -> f64;

    /// Returns how far a sum moves that follows the slope downhill for a time: the change from 0 to `time` of the solution
    /// of dp/dt = −slope(p), which starts at `sum`. It never passes the least loss, however long the time is.
    ///
    /// A step in the direction of one row moves the row's sum along that line, so this is the limit of infinitely many
    /// infinitely small steps (Karampatziakis and Langford 2011, "Online importance weight aware updates").
    fn descent(&self, sum: f64, target: f64, time: f64) -> f64;
}
