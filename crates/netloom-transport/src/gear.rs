//! How bytes are moved from one connection to another.

/// What one direction of a carried pair does at the moment.
///
/// It shifts by itself: up while whole buffers come one after another, back
/// when they do not. Counting what was moved in which gear is cheap, so that
/// whoever wonders about a slow transfer can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gear {
    /// Nothing is kept: what comes is read into the thread's scratch and passed
    /// on at once.
    #[default]
    Idle,
    /// The same with a larger scratch, while reads come back full.
    Copy,
    /// The kernel moves the bytes through a pipe (splice(2)); this process does
    /// not see them. Linux only, and only between two sockets.
    Splice,
}

impl Gear {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Gear::Idle => "idle",
            Gear::Copy => "copy",
            Gear::Splice => "splice",
        }
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits {
            2 => Gear::Splice,
            1 => Gear::Copy,
            _ => Gear::Idle,
        }
    }

    pub(crate) fn bits(self) -> u8 {
        self as u8
    }
}
