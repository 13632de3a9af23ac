//! Whether the rules notice what they are for: clean histories must pass, and each way to break one must be caught.

mod devices;
pub mod generate;
mod loads;
pub mod mutate;
mod people;

use std::fmt;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rules::{self, Demands};
use mutate::{MUTATIONS, Mutation};

/// Histories of each kind.
pub const HISTORIES: u64 = 60;
/// Commands of each.
const COMMANDS: usize = 160;
/// What they have at least.
pub const DEMANDS: Demands = Demands { acks: 60, events: 100, loads: 3, resumes: 3, faults: 2 };

/// What came out: by kind how many were judged rightly.
pub struct Table {
    clean: u64,
    caught: Vec<(&'static Mutation, u64)>,
    /// What was judged wrongly, for whoever repairs a rule.
    wrong: Vec<String>,
}

/// Makes, breaks and judges histories from `seed` on.
pub fn run(seed: u64) -> Table {
    let mut table =
        Table { clean: 0, caught: MUTATIONS.iter().map(|mutation| (mutation, 0)).collect(), wrong: Vec::new() };
    for seed in (0..HISTORIES).map(|number| seed.wrapping_add(number)) {
        let history = generate::history(seed, COMMANDS);
        let findings = rules::check(&history, &DEMANDS);
        if findings.is_clean() {
            table.clean += 1;
        }
        for rule in findings.broken() {
            table.wrong.push(format!("seed {seed}: clean, but {} says {:?}", rule.name(), findings.of(rule).1));
        }
        for (mutation, caught) in &mut table.caught {
            let mut broken = history.clone();
            let made = (mutation.make)(&mut broken, &mut StdRng::seed_from_u64(!seed));
            let findings = rules::check(&broken, &DEMANDS);
            if made && mutation.rules.iter().any(|rule| findings.of(*rule).0 > 0) {
                *caught += 1;
            } else {
                let instead: Vec<_> = findings.broken().iter().map(|rule| rule.name()).collect();
                table.wrong.push(format!("seed {seed}: {}, made: {made}, seen: {instead:?}", mutation.name));
            }
        }
    }
    table
}

impl Table {
    /// Whether everything was judged rightly.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>7}  {:<52} must be noticed by", "right", "histories")?;
        writeln!(f, "{:>3}/{HISTORIES}  {:<52} nothing", self.clean, "clean")?;
        for (mutation, caught) in &self.caught {
            let rules: Vec<_> = mutation.rules.iter().map(|rule| rule.name()).collect();
            writeln!(f, "{caught:>3}/{HISTORIES}  {:<52} {}", mutation.name, rules.join(" or "))?;
        }
        self.wrong.iter().take(20).try_for_each(|wrong| writeln!(f, "wrong: {wrong}"))?;
        write!(
            f,
            "{}",
            if self.is_clean() { "the rules notice what they are for" } else { "the rules are not to be trusted" }
        )
    }
}
