//! Matches whole texts against a small regular expression, in time proportional to both.
//!
//! A regex library would do more, and cost a millisecond for each pattern in a build that is not optimised, on every
//! run. This knows characters, and nothing of syntax or paths.

/// A regular expression as a tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// One character of the set.
    Set(Set),
    /// The beginning of the text.
    Start,
    /// The end of the text.
    End,
    /// One after the other.
    Sequence(Vec<Node>),
    /// One of them.
    Alternatives(Vec<Node>),
    /// At least `min` times and at most `max`; without one, any number of times.
    Repeat { node: Box<Node>, min: u32, max: Option<u32> },
}

/// A set of characters.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    /// From and to, both in it.
    ranges: Vec<(char, char)>,
    /// Other sets that are part of it.
    others: Vec<Set>,
    negated: bool,
}

impl Set {
    pub(super) fn new(ranges: &[(char, char)]) -> Self {
        Self { ranges: ranges.to_vec(), others: Vec::new(), negated: false }
    }

    /// The set of all characters that are not in this one.
    pub(super) fn complement(mut self) -> Self {
        self.negated = !self.negated;
        self
    }

    pub(super) fn add_range(&mut self, from: char, to: char) {
        self.ranges.push((from, to));
    }

    pub(super) fn add_set(&mut self, set: Self) {
        self.others.push(set);
    }

    fn contains(&self, c: char) -> bool {
        let inside = self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
            || self.others.iter().any(|other| other.contains(c));
        inside != self.negated
    }
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub(super) struct Automaton(Vec<State>);

#[derive(Debug, Clone)]
enum State {
    /// Takes a character of the set and goes to the next state.
    Take(Set),
    /// Goes to the next state at the beginning of the text.
    Start,
    /// Goes to the next state at the end of the text.
    End,
    /// Goes to both.
    Fork(usize, usize),
    Matched,
}

impl Automaton {
    pub(super) fn new(node: &Node) -> Self {
        let mut states = Vec::new();
        compile(node, &mut states);
        states.push(State::Matched);
        Self(states)
    }

    /// Whether the expression is found in `text`, anywhere unless it says where.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let mut active = Active::new(self.0.len());
        let mut next = Active::new(self.0.len());
        let mut chars = text.chars();
        let mut at_start = true;
        loop {
            let taken = chars.next();
            // An attempt begins at every character.
            if self.enter(0, at_start, taken.is_none(), &mut active) {
                return true;
            }
            at_start = false;
            let Some(c) = taken else { return false };
            let at_end = chars.as_str().is_empty();
            for state in &active.states {
                if matches!(&self.0[*state], State::Take(set) if set.contains(c))
                    && self.enter(state + 1, false, at_end, &mut next)
                {
                    return true;
                }
            }
            active.clear();
            std::mem::swap(&mut active, &mut next);
        }
    }

    /// Adds `state` and what is reached from it without taking a character; whether that is the end.
    fn enter(&self, state: usize, at_start: bool, at_end: bool, active: &mut Active) -> bool {
        active.pending.push(state);
        while let Some(state) = active.pending.pop() {
            if std::mem::replace(&mut active.present[state], true) {
                continue;
            }
            active.states.push(state);
            match &self.0[state] {
                State::Matched => return true,
                State::Start if at_start => active.pending.push(state + 1),
                State::End if at_end => active.pending.push(state + 1),
                State::Fork(one, other) => active.pending.extend([*other, *one]),
                State::Take(_) | State::Start | State::End => {}
            }
        }
        false
    }
}

/// The states that are active at one place of the text.
struct Active {
    states: Vec<usize>,
    present: Vec<bool>,
    /// Still to be entered; empty between calls.
    pending: Vec<usize>,
}

impl Active {
    fn new(states: usize) -> Self {
        Self { states: Vec::with_capacity(states), present: vec![false; states], pending: Vec::new() }
    }

    fn clear(&mut self) {
        self.states.drain(..).for_each(|state| self.present[state] = false);
    }
}

fn compile(node: &Node, states: &mut Vec<State>) {
    match node {
        Node::Set(set) => states.push(State::Take(set.clone())),
        Node::Start => states.push(State::Start),
        Node::End => states.push(State::End),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| compile(node, states)),
        Node::Alternatives(nodes) => {
            let mut ends = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                let last = index + 1 == nodes.len();
                let fork = states.len();
                if !last {
                    states.push(State::Fork(fork + 1, 0));
                }
                compile(node, states);
                if !last {
                    ends.push(states.len());
                    states.push(State::Fork(0, 0));
                    states[fork] = State::Fork(fork + 1, states.len());
                }
            }
            let end = states.len();
            ends.into_iter().for_each(|at| states[at] = State::Fork(end, end));
        }
        Node::Repeat { node, min, max } => {
            (0..*min).for_each(|_| compile(node, states));
            if let Some(max) = max {
                for _ in *min..*max {
                    optional(states, |states| compile(node, states));
                }
            } else {
                optional(states, |states| {
                    let start = states.len();
                    compile(node, states);
                    states.push(State::Fork(start, states.len() + 1));
                });
            }
        }
    }
}

fn optional(states: &mut Vec<State>, inner: impl FnOnce(&mut Vec<State>)) {
    let fork = states.len();
    states.push(State::Fork(fork + 1, 0));
    inner(states);
    states[fork] = State::Fork(fork + 1, states.len());
}
