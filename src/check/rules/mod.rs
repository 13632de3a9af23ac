//! What must be true of a history. Every rule has a name, which reports and documents use.
//!
//! The order of events in a log is given by their numbers, so nothing has to be searched: each rule is one pass over the
//! records or over a log.

mod index;
mod logs;
mod order;
mod presence;
mod rights;
mod snapshots;
mod streams;
mod vacuous;

use std::collections::BTreeMap;

use super::history::History;
use index::Index;

pub use vacuous::Demands;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal,)*) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[doc = $doc])+ $rule,)* }

        impl Rule {
            /// All of them, as a report lists them.
            pub const ALL: &'static [Rule] = &[$(Rule::$rule),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name),* }
            }

            /// What it demands.
            pub fn meaning(self) -> &'static str {
                match self { $(Rule::$rule => concat!($($doc),+).trim_ascii()),* }
            }
        }
    };
}

rules! {
    /// The numbers of every log are 1, 2, 3 …
    LogHole = "log-hole",
    /// Every address reads the same logs.
    LogsDiffer = "logs-differ",
    /// A command is in a log at most once.
    DuplicateEffect = "duplicate-effect",
    /// Nothing is in a log that nobody asked for.
    Phantom = "phantom",
    /// A command that was refused has no effect.
    RefusedButApplied = "refused-but-applied",
    /// What an answer says is what the log says.
    AckDisagrees = "ack-disagrees",
    /// What was acknowledged is in the log.
    LostAck = "lost-ack",
    /// Every command ends in a definite answer once all faults are off.
    Unresolved = "unresolved",
    /// What was sent after an acknowledgement comes after it in the log.
    RealTimeInversion = "real-time-inversion",
    /// Commands of one connection keep their order.
    PipelineOrder = "pipeline-order",
    /// Events come to subscribers only.
    EventWithoutSubscription = "event-without-subscription",
    /// No event comes twice or out of order.
    DuplicateOrReorder = "duplicate-or-reorder",
    /// No event is left out.
    Gap = "gap",
    /// Everybody gets what the log has.
    Divergence = "divergence",
    /// After the faults everybody comes to the end of the log.
    NotConverged = "not-converged",
    /// Nobody has to load again without need.
    SpuriousResync = "spurious-resync",
    /// The checker itself resumes from where it was.
    HarnessSkip = "harness-skip",
    /// What is loaded is exactly the state at its position.
    TornSnapshot = "torn-snapshot",
    /// What is loaded is not older than what was known before.
    StaleSnapshot = "stale-snapshot",
    /// What is loaded is not older than what was loaded before.
    SnapshotWentBack = "snapshot-went-back",
    /// At the end state is what the log adds up to.
    StateNotFoldOfLog = "state-not-fold-of-log",
    /// Who was put out changes nothing any more.
    WriteAfterRevocation = "write-after-revocation",
    /// Who was put out sees nothing any more.
    ReadAfterRevocation = "read-after-revocation",
    /// Joins and leaves of a person alternate.
    PresenceAlternation = "presence-alternation",
    /// Nobody is shown who has long gone.
    PresenceGhost = "presence-ghost",
    /// Nobody is missing who has long been there.
    PresenceMissing = "presence-missing",
    /// Enough happened that the run proves something.
    Vacuous = "vacuous",
}

/// As many violations of a rule are explained; all are counted.
pub const EXAMPLES: usize = 5;

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    violations: BTreeMap<Rule, (usize, Vec<String>)>,
}

impl Findings {
    /// Whether no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// How often a rule was broken, and the first examples.
    pub fn of(&self, rule: Rule) -> (usize, &[String]) {
        self.violations.get(&rule).map_or((0, &[]), |(count, examples)| (*count, examples))
    }

    /// The rules that were broken.
    pub fn broken(&self) -> Vec<Rule> {
        self.violations.keys().copied().collect()
    }

    /// One more; the explanation is written only when it is needed.
    fn add(&mut self, rule: Rule, explanation: impl FnOnce() -> String) {
        let (count, examples) = self.violations.entry(rule).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(explanation());
        }
    }
}

/// Holds every rule against a history.
pub fn check(history: &History, demands: &Demands) -> Findings {
    let mut findings = Findings::default();
    let index = Index::new(history);
    logs::check(&index, &mut findings);
    order::check(&index, &mut findings);
    streams::check(&index, &mut findings);
    snapshots::check(&index, &mut findings);
    rights::check(&index, &mut findings);
    presence::check(&index, &mut findings);
    vacuous::check(&index, demands, &mut findings);
    findings
}

/// A moment, for people.
fn seconds(at: u64) -> String {
    format!("{}.{:03} s", at / 1_000_000, at / 1_000 % 1_000)
}
