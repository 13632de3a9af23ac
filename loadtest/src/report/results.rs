//! The lines that runs printed, read back and put together.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::machine::Machine;
use super::run::{Run, Sample, Window};
use super::stats::Spread;

/// Ours.
pub const STUDYHALL: &str = "studyhall";
/// One write per message.
pub const FLOOR: &str = "floor";
/// One write for all that is pending.
pub const FLOOR_MERGED: &str = "floor-merged";

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// Where; `None` when nobody said.
    pub machine: Option<Machine>,
    runs: Vec<Merged>,
    /// What was typed in the invocation that the last line came from, and for which targets there were lines since.
    typed: (String, Vec<String>),
    invocation: usize,
}

/// All runs of a scenario against a target.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// As in [`Run`].
    pub scenario: String,
    /// As in [`Run`].
    pub target: String,
    /// How many there were.
    pub runs: usize,
    /// Of the first, without what is of no use on another machine.
    pub command: String,
    /// Of the first.
    pub parameters: BTreeMap<String, Value>,
    /// By invocation: the windows of two targets took turns only within one.
    windows: Vec<(usize, Vec<Window>)>,
    /// Sums.
    pub counts: BTreeMap<String, u64>,
    /// One number for each run that has the figure.
    pub figures: BTreeMap<String, Vec<f64>>,
    /// Of the last that has some.
    pub percentiles: Vec<(f64, f64)>,
    /// Of the last that has some.
    pub series: Vec<Sample>,
    /// No run broke a promise.
    pub ok: bool,
    /// The first complaint.
    pub error: Option<String>,
}

impl Results {
    /// Reads files of JSON lines.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut results = Self::default();
        for path in paths.iter().map(AsRef::as_ref) {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            results.add(&text).with_context(|| format!("in {}", path.display()))?;
        }
        if results.runs.is_empty() {
            bail!("there is no run in the results");
        }
        Ok(results)
    }

    /// Takes JSON lines: runs, and at most one machine.
    pub fn add(&mut self, text: &str) -> Result<()> {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            if let Some(machine) = value.get("machine") {
                let machine = serde_json::from_value(machine.clone())?;
                if self.machine.as_ref().is_some_and(|known| *known != machine) {
                    bail!("line {}: the results are of two machines or two commits", index + 1);
                }
                self.machine = Some(machine);
            } else {
                let run = serde_json::from_value(value).with_context(|| format!("line {} is no run", index + 1))?;
                self.merge(run);
            }
        }
        Ok(())
    }

    /// One invocation prints a line for each target of a scenario.
    fn merge(&mut self, run: Run) {
        let (command, targets) = &mut self.typed;
        let typed = format!("{} {}", run.scenario, run.command);
        if *command != typed || targets.contains(&run.target) {
            (*command, *targets) = (typed, Vec::new());
            self.invocation += 1;
        }
        targets.push(run.target.clone());
        let invocation = self.invocation;
        let same = |known: &&mut Merged| known.scenario == run.scenario && known.target == run.target;
        if let Some(known) = self.runs.iter_mut().find(same) {
            known.merge(run, invocation);
        } else {
            let mut merged = Merged {
                scenario: run.scenario.clone(),
                target: run.target.clone(),
                command: tidied(&run.command),
                parameters: run.parameters.clone(),
                ok: true,
                ..Merged::default()
            };
            merged.merge(run, invocation);
            self.runs.push(merged);
        }
    }

    /// The names of scenarios, in the order in which they came.
    pub fn scenarios(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !names.contains(&run.scenario.as_str()) {
                names.push(&run.scenario);
            }
        }
        names
    }

    /// All targets of a scenario: ours, the floors, and the others by name.
    pub fn of(&self, scenario: &str) -> Vec<&Merged> {
        let mut runs: Vec<_> = self.runs.iter().filter(|run| run.scenario == scenario).collect();
        let known = [STUDYHALL, FLOOR, FLOOR_MERGED];
        let place = |run: &Merged| known.iter().position(|name| *name == run.target).unwrap_or(known.len());
        runs.sort_by(|a, b| (place(a), &a.target).cmp(&(place(b), &b.target)));
        runs
    }

    /// One target of a scenario.
    pub fn one(&self, scenario: &str, target: &str) -> Option<&Merged> {
        self.runs.iter().find(|run| run.scenario == scenario && run.target == target)
    }
}

impl Merged {
    fn merge(&mut self, run: Run, invocation: usize) {
        self.runs += 1;
        if !run.windows.is_empty() {
            self.windows.push((invocation, run.windows));
        }
        for (name, count) in run.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (name, figure) in run.figures {
            self.figures.entry(name).or_default().push(figure);
        }
        if !run.percentiles.is_empty() {
            self.percentiles = run.percentiles;
        }
        if !run.series.is_empty() {
            self.series = run.series;
        }
        self.ok &= run.ok;
        self.error = self.error.take().or(run.error);
    }

    /// Over the runs that have it.
    pub fn figure(&self, name: &str) -> Option<Spread> {
        Spread::of(self.figures.get(name)?.iter().copied())
    }

    /// All windows.
    pub fn windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().flat_map(|(_, windows)| windows)
    }

    /// Over the windows.
    pub fn over_windows(&self, of: impl Fn(&Window) -> f64) -> Option<Spread> {
        Spread::of(self.windows().map(of))
    }

    /// Of pairs of windows that took turns. `None` when there are none, or one has no such figure.
    pub fn beside(&self, other: &Self, both: impl Fn(&Window, &Window) -> Option<f64>) -> Option<Spread> {
        let mut pairs = Vec::new();
        for (invocation, ours) in &self.windows {
            let theirs = other.windows.iter().find(|(known, _)| known == invocation);
            pairs.extend(ours.iter().zip(theirs.iter().flat_map(|(_, windows)| windows)));
        }
        let both: Option<Vec<f64>> = pairs.into_iter().map(|(ours, theirs)| both(ours, theirs)).collect();
        Spread::of(both?)
    }

    /// Server CPU of a delivery, in microseconds.
    pub fn cpu_us(&self) -> Option<Spread> {
        let windows: Option<Vec<f64>> = self.windows().map(Window::cpu_us).collect();
        Spread::of(windows?)
    }

    /// Server CPU of a delivery as a multiple of another's.
    pub fn cpu_ratio(&self, other: &Self) -> Option<Spread> {
        self.beside(other, |ours, theirs| Some(ours.cpu_us()? / theirs.cpu_us()?))
    }

    /// Deliveries a second as a multiple of another's.
    pub fn rate_ratio(&self, other: &Self) -> Option<Spread> {
        self.beside(other, |ours, theirs| Some(ours.per_s() / theirs.per_s()))
    }

    /// The server's busy share of a core; `None` when it was on another machine.
    pub fn server_busy(&self) -> Option<Spread> {
        let busy = |window: &Window| Some(window.server_cpu_s? / window.seconds);
        let windows: Option<Vec<f64>> = self.windows().map(busy).collect();
        Spread::of(windows?)
    }

    /// Which promises were broken; `None` when none was.
    pub fn broken(&self) -> Option<String> {
        if self.ok {
            return None;
        }
        let counts = FAULTS.iter().filter_map(|fault| Some((fault, *self.counts.get(*fault)?)));
        let mut said: Vec<String> =
            counts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        said.extend(self.error.clone());
        Some(if said.is_empty() { "a promise was broken".into() } else { said.join(", ") })
    }

    /// What one should know of a run in which no promise was broken.
    pub fn remark(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.ok)
    }

    /// Values that newer ones replaced, or that a reader behind the ring did not get.
    pub fn thinned(&self) -> u64 {
        MAY_HAPPEN.iter().filter_map(|name| self.counts.get(*name)).sum()
    }
}

/// Counts that are 0 as long as every promise is kept.
const FAULTS: [&str; 10] =
    ["lost", "duplicates", "reordered", "foreign", "overdue", "refused", "closed", "gaps", "repeated", "missing"];

/// Counts that break no promise.
const MAY_HAPPEN: [&str; 2] = ["conflated", "skipped"];

/// Options whose value is of no use on another machine, and words that are only there because a script typed them.
const OWN: [&str; 5] = ["--accounts", "--server-pid", "--postgres-pid", "--metrics", "--redis"];
/// Those whose value names a place on this machine.
const PLACES: [&str; 1] = ["--pgbench"];

const PROGRAM: &str = "studyhall-loadtest";

/// A command as one would type it elsewhere: no directories, no process numbers.
fn tidied(command: &str) -> String {
    let mut words = command.split_whitespace().peekable();
    let mut tidy: Vec<String> = Vec::new();
    // The program itself has no name in some commands.
    if words.peek().is_some_and(|first| !first.ends_with(PROGRAM)) {
        tidy.push(PROGRAM.into());
    }
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        if OWN.contains(&name) {
            if value.is_none() {
                words.next();
            }
            continue;
        }
        if PLACES.contains(&name) {
            if value.is_none() {
                words.next();
            }
            tidy.push(format!("{name} URL"));
            continue;
        }
        let word = if word.starts_with('/') || word.starts_with("./") || tidy.is_empty() {
            word.rsplit('/').next().unwrap_or(word)
        } else {
            word
        };
        match word.rsplit_once(',') {
            // `name=address,process` of --beside.
            Some((start, pid)) if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                tidy.push(format!("{start},PID"));
            }
            _ => tidy.push(word.to_owned()),
        }
    }
    tidy.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &str, cpu: f64, lost: u64) -> String {
        line_of("typed", target, cpu, lost)
    }

    fn line_of(command: &str, target: &str, cpu: f64, lost: u64) -> String {
        let window = Window { seconds: 2.0, delivered: 1_000, server_cpu_s: Some(cpu), ..Window::default() };
        let counts = BTreeMap::from([("lost".to_owned(), lost), ("conflated".to_owned(), 3)]);
        let figures = BTreeMap::from([("p99_ms".to_owned(), cpu * 100.0)]);
        let (scenario, target) = ("rooms".to_owned(), target.to_owned());
        let (windows, command) = (vec![window], command.to_owned());
        let run = Run { scenario, target, command, windows, counts, figures, ok: lost == 0, ..Run::default() };
        serde_json::to_string(&run).unwrap()
    }

    #[test]
    fn runs_of_one_target_come_together() {
        let mut results = Results::default();
        let lines = [line("bun", 0.1, 0), line("floor", 0.2, 0), line("bun", 0.3, 2), line("studyhall", 0.2, 0)];
        results.add(&lines.join("\n")).unwrap();
        assert_eq!(results.scenarios(), ["rooms"]);
        assert_eq!(
            results.of("rooms").iter().map(|run| &*run.target).collect::<Vec<_>>(),
            ["studyhall", "floor", "bun"]
        );
        let bun = results.one("rooms", "bun").unwrap();
        assert_eq!((bun.runs, bun.windows().count(), bun.thinned(), bun.ok), (2, 2, 6, false));
        assert_eq!(bun.broken().as_deref(), Some("2 lost"));
        assert_eq!(bun.figure("p99_ms").unwrap().median, 20.0);
        assert_eq!(bun.cpu_us().unwrap().high, 300.0);
        assert_eq!(results.one("rooms", "floor").unwrap().broken(), None);
    }

    #[test]
    fn only_windows_of_one_invocation_are_compared() {
        let mut results = Results::default();
        // The machine was ten times as slow the second time, when only one of the peers ran.
        let first = [line("floor", 0.1, 0), line("bun", 0.2, 0), line("floor", 0.1, 0), line("bun", 0.2, 0)];
        let second = [line_of("other", "floor", 1.0, 0), line_of("other", "ws", 3.0, 0)];
        results.add(&[first.join("\n"), second.join("\n")].join("\n")).unwrap();
        let floor = results.one("rooms", "floor").unwrap();
        let ratio = |target| results.one("rooms", target).unwrap().cpu_ratio(floor).unwrap();
        assert_eq!((ratio("bun").median, ratio("bun").count), (2.0, 2));
        assert_eq!((ratio("ws").median, ratio("ws").count), (3.0, 1));
        assert_eq!(results.one("rooms", "ws").unwrap().cpu_ratio(results.one("rooms", "bun").unwrap()), None);
    }

    #[test]
    fn a_line_that_is_no_run_is_refused() {
        let refused = |text: &str| Results::default().add(text).is_err();
        assert!(refused("{") && refused("{\"scenario\": \"rooms\"}") && refused("[]"));
        assert!(!refused("\n"));
        assert!(Results::read(&["/nowhere/results.jsonl"]).is_err());
    }

    #[test]
    fn results_are_of_one_machine() {
        let machine = Machine::here(Some("abc".into()));
        let said = |machine: &Machine| serde_json::json!({ "machine": machine }).to_string();
        let mut results = Results::default();
        results.add(&said(&machine)).unwrap();
        results.add(&said(&machine)).unwrap();
        assert_eq!(results.machine, Some(machine.clone()));
        assert!(results.add(&said(&Machine { commit: None, ..machine })).is_err());
    }

    #[test]
    fn commands_hold_nothing_of_the_machine() {
        let typed = "/home/x/target/release/studyhall-loadtest rooms --rooms 500 --accounts /tmp/a.json --server-pid=77 \
                     --url http://127.0.0.1:9200 --beside floor=ws://127.0.0.1:9101,123";
        assert_eq!(
            tidied(typed),
            "studyhall-loadtest rooms --rooms 500 --url http://127.0.0.1:9200 --beside floor=ws://127.0.0.1:9101,PID"
        );
        assert_eq!(tidied("storm --crowd /tmp/x/crowd.json"), "studyhall-loadtest storm --crowd crowd.json");
        assert_eq!(
            tidied("tasks --pgbench host=/tmp/x --clients 2"),
            "studyhall-loadtest tasks --pgbench URL --clients 2"
        );
        assert_eq!(tidied(""), "");
    }
}
