//! What can happen, and random sequences of it.

use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::world::{Checkout, STEPS, VALUES};

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Act {
    /// Somebody edits an input. There are few values, so that edits are often taken back.
    Edit { checkout: Checkout, step: usize, value: u8 },
    /// Somebody alters what a step made, behind our back.
    Alter { step: usize, to: Altered },
    /// A run starts.
    Start { checkout: Checkout, force: bool },
    /// One effect of one run goes one stage further.
    Advance { run: usize, effect: usize },
    /// A run is killed.
    Kill { run: usize },
    /// A run is told to stop.
    Cancel { run: usize },
    /// A receipt is cut short or deleted.
    Damage { checkout: Checkout, step: usize, shared: bool, delete: bool },
}

/// What becomes of an artifact.
#[derive(Debug, Clone, Copy)]
pub enum Altered {
    Deleted,
    Edited,
    /// Written to in no way that matters.
    Touched,
    /// Rolled back to what it was a number of versions ago.
    RolledBack(usize),
}

/// Histories of up to 120 acts; most of them let a run advance, or little would ever finish.
pub fn acts() -> impl Strategy<Value = Vec<Act>> {
    let checkout = || prop_oneof![3 => Just(Checkout::Here), 1 => Just(Checkout::There)];
    let altered = prop_oneof![
        1 => Just(Altered::Deleted),
        1 => Just(Altered::Edited),
        2 => Just(Altered::Touched),
        1 => (1..4_usize).prop_map(Altered::RolledBack),
    ];
    let act = prop_oneof![
        3 => (checkout(), 0..STEPS, 0..VALUES).prop_map(|(checkout, step, value)| Act::Edit { checkout, step, value }),
        3 => (0..STEPS, altered).prop_map(|(step, to)| Act::Alter { step, to }),
        3 => (checkout(), proptest::bool::weighted(0.1)).prop_map(|(checkout, force)| Act::Start { checkout, force }),
        40 => (any::<usize>(), any::<usize>()).prop_map(|(run, effect)| Act::Advance { run, effect }),
        1 => any::<usize>().prop_map(|run| Act::Kill { run }),
        1 => any::<usize>().prop_map(|run| Act::Cancel { run }),
        1 => (checkout(), 0..STEPS, any::<bool>(), any::<bool>())
            .prop_map(|(checkout, step, shared, delete)| Act::Damage { checkout, step, shared, delete }),
    ];
    proptest::collection::vec(act, 0..120)
}
