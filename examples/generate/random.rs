//! Random numbers of the generators of data: the same on every machine.

/// `splitmix64` (Steele, Lea and Flood, 2014).
pub struct Random(u64);

#[allow(dead_code, reason = "each generator uses a part")]
impl Random {
    /// Numbers from a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Returns true in `share` of 1000 cases.
    pub fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }
}
