//! Drives the engine through random histories of a simulated world and checks the promise that all else stands on:
//! **whenever it says fresh, the world equals what a run from scratch would make.**
//!
//! The engine is the real one (`Run`, `judge`, `choose`, receipts as bytes); only what it acts on is simulated:
//! inputs that change, artifacts that somebody alters, runs that are killed between any two effects, receipts that
//! are damaged, two checkouts and two runs at once.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where something is not as it has to be")]

mod history;
mod world;

use engine::run::Effect;
use history::{Act, Altered, acts};
use proptest::prelude::{ProptestConfig, proptest};
use world::{Checkout, Simulation};

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn fresh_implies_equal_to_a_run_from_scratch(acts in acts()) {
        let mut simulation = Simulation::new();
        for act in &acts {
            simulation.play(act);
        }
        simulation.kill_all();
        for checkout in [Checkout::Here, Checkout::There] {
            let first = simulation.run_undisturbed(checkout);
            assert!(first.failed.is_empty(), "an undisturbed run fails: {:?}", first.failed);
            simulation.assert_as_from_scratch(checkout);

            let second = simulation.run_undisturbed(checkout);
            assert_eq!(second.performed, Vec::<usize>::new(), "a second run has nothing to do");
            simulation.assert_as_from_scratch(checkout);
        }
    }
}

/// The test above would be worthless if its histories never came to the interesting places.
#[test]
fn histories_reach_what_they_are_for() {
    let mut simulation = Simulation::new();
    let act = |simulation: &mut Simulation, act: Act| simulation.play(&act);
    act(&mut simulation, Act::Start { checkout: Checkout::Here, force: false });
    act(&mut simulation, Act::Start { checkout: Checkout::There, force: false });
    for turn in 0..200 {
        act(&mut simulation, Act::Advance { run: turn % 2, effect: turn });
    }
    let seen = simulation.seen();
    assert_eq!(seen.performed, world::STEPS, "two runs of the same thing at once do each step once");
    assert!(seen.waited > 0, "two runs meet at a lock");
    assert!(seen.adopted > 0, "one checkout takes over what the other has just made");

    simulation.kill_all();
    let before = simulation.seen().performed;
    // Step 0's output does not show every edit of its input, so the steps behind it are cut off.
    act(&mut simulation, Act::Edit { checkout: Checkout::Here, step: 0, value: 2 });
    let run = simulation.run_undisturbed(Checkout::Here);
    assert_eq!(run.performed, [0], "early cutoff");
    assert!(simulation.seen().performed > before);

    let before = simulation.seen().refreshed;
    act(&mut simulation, Act::Alter { step: 1, to: Altered::Touched });
    assert_eq!(simulation.run_undisturbed(Checkout::Here).performed, Vec::<usize>::new(), "that does not matter");
    assert_eq!(simulation.seen().refreshed, before + 1, "but it is written down");
}

/// A run has found a step fresh and is about to write that down. Meanwhile another run takes the step's lock, begins to
/// change the world and is killed: what the first would write says nothing of that.
#[test]
fn a_refresh_never_takes_the_mark_of_a_killed_run_away() {
    let step = world::POORLY_OBSERVED;
    let mut simulation = Simulation::new();
    simulation.run_undisturbed(Checkout::Here);
    simulation.play(&Act::Alter { step, to: Altered::Touched });
    let refreshes = simulation.start(Checkout::Here, false);
    simulation.run_until(refreshes, step, |effect| matches!(effect, Effect::Refresh(_)));

    simulation.play(&Act::Edit { checkout: Checkout::There, step, value: 1 });
    let killed = simulation.start(Checkout::There, false);
    simulation.run_until(killed, step, |effect| matches!(effect, Effect::Perform(_)));
    simulation.go_on(killed, step);
    simulation.kill(killed);

    let ended = simulation.run_to_its_end(refreshes);
    assert_eq!(ended.performed, Vec::<usize>::new(), "it was fresh when it was judged");
    let next = simulation.run_undisturbed(Checkout::Here);
    assert_eq!(next.performed, [step], "what the killed run has left half made is made whole");
    simulation.assert_as_from_scratch(Checkout::Here);
}

/// Writing down what was seen is two writes, and a run may be killed between them.
#[test]
fn a_refresh_that_is_killed_half_way_costs_nothing() {
    let step = world::POORLY_OBSERVED;
    let mut simulation = Simulation::new();
    simulation.run_undisturbed(Checkout::Here);
    simulation.play(&Act::Alter { step, to: Altered::Touched });
    let killed = simulation.start(Checkout::Here, false);
    simulation.run_until(killed, step, |effect| matches!(effect, Effect::Refresh(_)));
    simulation.go_on(killed, step);
    simulation.kill(killed);
    let next = simulation.run_undisturbed(Checkout::Here);
    assert_eq!(next.performed, Vec::<usize>::new());
    simulation.assert_as_from_scratch(Checkout::Here);
}
