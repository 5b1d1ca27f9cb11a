//! When a direction changes gear. Nothing here waits, reads or writes.

use super::Gear;

/// A read of so many bytes is a sign of bulk.
const BULK: usize = 32 * 1024;

/// So many such reads in a row make a large scratch worth its cache.
const FOR_COPY: u16 = 2;

/// So many such reads in a row make a pipe worth its system calls. Whoever did
/// not get one waits for twice as many the next time, up to `MOST`.
const FOR_SPLICE: u16 = 4;
const MOST: u16 = 4096;

/// Less than this between two waits is copied as cheaply as it is spliced.
const LEAN: usize = 8 * 1024;

/// So many waits in a row with little between them end splicing.
const FOR_IDLE: u8 = 2;

/// The gear of one direction, and what speaks for another.
#[derive(Debug)]
pub(super) struct Shift {
    gear: Gear,
    top: Gear,
    /// Large reads in a row.
    run: u16,
    /// How many of them a pipe is asked for after; `None` when there is no use in it.
    patience: Option<u16>,
    /// Waits in a row with little between them.
    lean: u8,
    /// Spliced since the last wait.
    burst: usize,
}

impl Default for Shift {
    fn default() -> Self {
        Shift {
            gear: Gear::Idle,
            top: Gear::Idle,
            run: 0,
            patience: Some(FOR_SPLICE),
            lean: 0,
            burst: 0,
        }
    }
}

impl Shift {
    pub(super) fn gear(&self) -> Gear {
        self.gear
    }

    pub(super) fn top(&self) -> Gear {
        self.top
    }

    fn to(&mut self, gear: Gear) {
        self.gear = gear;
        self.top = self.top.max(gear);
    }

    /// So many bytes were read into the scratch.
    pub(super) fn read(&mut self, bytes: usize) {
        if bytes < BULK {
            self.run = 0;
            self.gear = Gear::Idle;
        } else {
            self.run = self.run.saturating_add(1);
            if self.run >= FOR_COPY {
                self.to(Gear::Copy);
            }
        }
    }

    /// Whether a pipe would be worth it.
    pub(super) fn wants_splice(&self) -> bool {
        self.patience.is_some_and(|reads| self.run >= reads)
    }

    /// Wants a pipe at once.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.run = FOR_SPLICE;
    }

    /// There was a pipe.
    pub(super) fn splices(&mut self) {
        self.patience = Some(FOR_SPLICE);
        self.lean = 0;
        self.burst = 0;
        self.to(Gear::Splice);
    }

    /// There was none.
    pub(super) fn refused(&mut self) {
        self.run = 0;
        self.patience = self.patience.map(|reads| reads.saturating_mul(2).min(MOST));
        if self.gear == Gear::Splice {
            self.to(Gear::Copy);
        }
    }

    /// These two connections cannot be spliced.
    pub(super) fn cannot(&mut self) {
        self.refused();
        self.patience = None;
    }

    /// So many bytes were spliced.
    pub(super) fn spliced(&mut self, bytes: usize) {
        self.burst += bytes;
    }

    /// Nothing more was there to splice. A look that was owed to the other
    /// direction, and found nothing new, says nothing.
    pub(super) fn dry(&mut self) {
        if self.burst == 0 {
            return;
        }
        self.lean = if self.burst < LEAN { self.lean + 1 } else { 0 };
        self.burst = 0;
        if self.lean >= FOR_IDLE {
            self.run = 0;
            self.gear = Gear::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reads: &[usize]) -> Shift {
        let mut shift = Shift::default();
        for &bytes in reads {
            shift.read(bytes);
        }
        shift
    }

    #[test]
    fn large_reads_in_a_row_shift_up_and_one_small_one_shifts_back() {
        assert_eq!(after(&[BULK]).gear(), Gear::Idle);
        assert_eq!(after(&[BULK; 2]).gear(), Gear::Copy);
        assert!(!after(&[BULK; 3]).wants_splice());
        assert!(after(&[BULK; 4]).wants_splice());
        let rested = after(&[BULK, BULK, BULK, 100]);
        assert_eq!((rested.gear(), rested.top()), (Gear::Idle, Gear::Copy));
        assert!(!after(&[BULK, BULK, BULK, 100, BULK]).wants_splice());
    }

    #[test]
    fn whoever_gets_no_pipe_asks_less_and_less_often() {
        let mut shift = Shift::default();
        let mut asked_after = Vec::new();
        for _ in 0..14 {
            let mut reads = 0;
            while !shift.wants_splice() {
                shift.read(BULK);
                reads += 1;
            }
            asked_after.push(reads);
            shift.refused();
        }
        assert_eq!(asked_after[..4], [4, 8, 16, 32]);
        assert_eq!(asked_after.last(), Some(&MOST));
        assert_eq!(shift.top(), Gear::Copy);
        shift.cannot();
        for _ in 0..=u16::MAX {
            shift.read(BULK);
        }
        assert!(!shift.wants_splice());
    }

    #[test]
    fn a_trickle_ends_splicing_and_a_pause_does_not() {
        let mut shift = after(&[BULK; 4]);
        shift.splices();
        for (bytes, gear) in [
            (LEAN, Gear::Splice),
            (1, Gear::Splice),
            (LEAN, Gear::Splice),
            (0, Gear::Splice),
            (1, Gear::Splice),
            (0, Gear::Splice),
            (1, Gear::Idle),
        ] {
            shift.spliced(bytes);
            shift.dry();
            assert_eq!(shift.gear(), gear);
        }
        assert!(!shift.wants_splice(), "it begins anew");
        assert_eq!(shift.top(), Gear::Splice);
    }
}
