//! What was not as it should be with a device that started all the same.

/// A set of warnings, as bits of the device property `Warnings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warnings(u32);

impl Warnings {
    /// All is well.
    pub const NONE: Self = Self(0);
    /// `RDPT` is missing, fails, or answers no integer.
    pub const NO_RDPT: Self = Self(1 << 0);
    /// `RDPT` offers other events than the register; armed is what both offer.
    pub const RDPT_DIFFERS: Self = Self(1 << 1);
    /// `WRPT` was not found.
    pub const NO_WRPT: Self = Self(1 << 2);
    /// Windows registered one of two callbacks: one event is not reported.
    pub const NOT_ALL_REGISTERED: Self = Self(1 << 3);

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}
