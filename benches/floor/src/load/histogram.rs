//! Times in buckets: 64 to each power of two, so that a value read back is
//! within 1.6 % of the one recorded, in 30 KiB and without a sort.

/// Buckets to each power of two.
const FINE: u64 = 64;
/// `FINE` as a number of bits.
const FINE_BITS: u32 = FINE.trailing_zeros();

/// Counts of times in nanoseconds.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; bucket(u64::MAX) + 1],
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The time that `share` (0 to 1) of all values do not exceed; 0 when
    /// nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Below `FINE` a bucket holds one value; above, each power of two is `FINE`
/// buckets.
fn bucket(ns: u64) -> usize {
    if ns < FINE {
        return ns as usize;
    }
    let shift = ns.ilog2() - FINE_BITS;
    (u64::from(shift + 1) * FINE + (ns >> shift) - FINE) as usize
}

/// The greatest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE {
        return bucket;
    }
    let shift = bucket / FINE - 1;
    let lowest = (bucket % FINE + FINE) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, bucket, upper};

    #[test]
    fn buckets_follow_each_other_and_hold_their_upper_value() {
        for index in 0..bucket(u64::MAX) {
            assert_eq!(bucket(upper(index)), index);
            assert_eq!(bucket(upper(index) + 1), index + 1);
        }
        assert_eq!(upper(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_of_a_ramp_are_within_two_percent() {
        let mut times = Histogram::new();
        for ns in 1..=100_000 {
            times.record(ns);
        }
        for (share, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let off = (times.quantile(share) as f64 - exact).abs() / exact;
            assert!(off < 0.02, "{share}: {off}");
        }
        assert_eq!(times.quantile(1.0), 100_000);
    }

    #[test]
    fn nothing_recorded_reads_as_zero() {
        assert_eq!(Histogram::new().quantile(0.99), 0);
    }
}
