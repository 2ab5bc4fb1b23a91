//! Memory that containers hold outside themselves: measured of those there are, estimated of those there will be.
//! Estimates saturate: a window may have more panes than any machine has memory for.

/// The most items that a measurement looks at.
const SAMPLES: usize = 1024;

/// Returns the sum over `len` items of the bytes of each: exact up to 1,024 items, else scaled up from so many of them,
/// evenly spread.
pub fn sampled(len: usize, bytes: impl Fn(usize) -> usize) -> usize {
    sampled_of(len, len, bytes)
}

/// The same of a part with `len` of `all` items: it looks at its share of the samples, and at one at least.
pub fn sampled_of(len: usize, all: usize, bytes: impl Fn(usize) -> usize) -> usize {
    let share = if all <= SAMPLES { len } else { SAMPLES * len / all };
    let samples = share.max(1).min(len);
    if samples == 0 {
        return 0;
    }
    let sum: usize = (0..samples).map(|at| bytes(at * len / samples)).sum();
    (sum as u128 * len as u128 / samples as u128) as usize
}

/// Returns the sum of estimates.
pub fn sum_of(bytes: impl IntoIterator<Item = usize>) -> usize {
    bytes.into_iter().fold(0, usize::saturating_add)
}

/// Returns the bytes of a vector or a ring that has grown to so many items one by one.
pub fn grown<T>(len: usize) -> usize {
    let least = match size_of::<T>() {
        1 => 8,
        ..=1024 => 4,
        _ => 1,
    };
    let room = len.checked_next_power_of_two().unwrap_or(usize::MAX).max(least);
    if len == 0 { 0 } else { room.saturating_mul(size_of::<T>()) }
}

/// Returns about the bytes of a B-tree map of so many entries.
pub fn tree<K, V>(len: usize) -> usize {
    /// Entries that a node has room for, and those that it has on average.
    const ROOM: usize = 11;
    const FILLED: usize = 7;
    let leaf = (ROOM * (size_of::<K>() + size_of::<V>()) + 12).next_multiple_of(8);
    if len <= ROOM {
        return if len == 0 { 0 } else { leaf };
    }
    let leaves = len.div_ceil(FILLED);
    let inner = leaves.div_ceil(FILLED).saturating_mul(leaf + (ROOM + 1) * size_of::<usize>());
    leaves.saturating_mul(leaf).saturating_add(inner)
}

/// Makes room for one more item. Grows capacity by an eighth, so that large arrays waste little.
pub fn make_room<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_more_items_than_fit_saturate() {
        assert_eq!(grown::<u64>(usize::MAX), usize::MAX);
        assert_eq!(tree::<i64, i64>(usize::MAX), usize::MAX);
        assert_eq!(sum_of([usize::MAX, 1]), usize::MAX);
    }

    #[test]
    fn a_sum_is_exact_up_to_the_most_samples_and_near_beyond() {
        let bytes = |item: usize| item % 10;
        assert_eq!(sampled(0, bytes), 0);
        assert_eq!(sampled(SAMPLES, bytes), (0..SAMPLES).map(bytes).sum::<usize>());
        let (near, exact) = (sampled(100_000, bytes) as f64, (0..100_000).map(bytes).sum::<usize>() as f64);
        assert!((near / exact - 1.0).abs() < 0.05, "{near} of {exact}");
    }
}
