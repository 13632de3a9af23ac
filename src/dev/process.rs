//! Processes: starting one as the servers' user, recognising one, ending one, and reading what it said.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::home::Home;

/// How often a state is looked at for which the system has no event.
pub(super) const GLANCE: Duration = Duration::from_millis(20);
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 12;

/// What a developer's shell may hold for other servers must not reach ours.
const FOREIGN_VARIABLES: [&str; 12] = [
    "PGDATA",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGOPTIONS",
    "PGSERVICE",
    "PGDATESTYLE",
    "PGTZ",
    "PGCLIENTENCODING",
    "LANG",
];

/// Signals in rising force, each with how long to wait for its effect.
pub(super) type Steps = &'static [(Signal, Duration)];

/// A program that runs as the servers' user, apart from our process group: a Ctrl-C in the terminal is for us alone,
/// who then stop the servers in order.
pub(super) fn command(program: &Path, home: &Home) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&home.dir).stdin(Stdio::null()).process_group(0);
    if let Some(account) = &home.account {
        command.uid(account.uid).gid(account.gid);
    }
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    // English messages, and no failure on a locale that the machine does not have.
    command.env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// A running private server.
pub(super) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// The signal that asks this kind of server to end soon and in order.
    gentle: Signal,
}

impl Server {
    /// Starts `command` with everything that it says going to the file `log` of the home.
    pub fn spawn(name: &'static str, mut command: Command, home: &Home, log: &str, steps: Steps) -> Result<Server> {
        let log = home.dir.join(log);
        let output = open_log(&log, home)?;
        command.stdout(output.try_clone()?).stderr(output);
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let gentle = steps.first().map_or(Signal::SIGTERM, |step| step.0);
        Ok(Server { name, child, log, gentle })
    }

    /// The process, while it has not been seen to end.
    pub fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines of its log, for an error message.
    pub fn last_words(&self) -> String {
        format!("{} ends with:\n{}", self.log.display(), tail(&self.log))
    }

    /// Waits for an end that nobody asked for.
    pub async fn died(&mut self) -> Error {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!(
            "the private {} ended by itself ({how}); start studyhall again, its data are kept.\n{}",
            self.name,
            self.last_words()
        )
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(mut self, steps: Steps) -> Result<()> {
        for (signal, patience) in steps {
            let Some(pid) = self.pid() else { return Ok(()) };
            send(pid, *signal);
            if timeout(*patience, self.child.wait()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!("the private {} does not end on {signal} within {} s", self.name, patience.as_secs());
        }
        bail!("the private {} does not end; see {}", self.name, self.log.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            send(pid, self.gentle);
        }
    }
}

/// Runs a tool to its end and returns whether it succeeded, with all that it said. Ends it when dropped.
pub(super) async fn finish(mut command: Command) -> Result<(bool, String)> {
    let program = command.as_std().get_program().to_owned();
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Ends a process that is not our child, as an earlier `studyhall` left it. False if it outlives every signal.
pub(super) async fn end(pid: Pid, steps: Steps) -> bool {
    for (signal, patience) in steps {
        send(pid, *signal);
        let deadline = Instant::now() + *patience;
        while Instant::now() < deadline {
            if !runs(pid) {
                return true;
            }
            sleep(GLANCE).await;
        }
    }
    !runs(pid)
}

/// Whether there is such a process and it has not ended: where nobody collects orphans, as in many containers, the
/// dead keep their number for ever.
pub(super) fn runs(pid: Pid) -> bool {
    if kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    // The state follows the name, which is in parentheses and may itself hold some.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether `argument` is among what a process was started with. Without `/proc`, `ps` tells.
pub(super) fn started_with(pid: Pid, argument: &Path) -> bool {
    if Path::new("/proc/self/cmdline").exists() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return line.split(|byte| *byte == 0).any(|word| OsString::from_vec(word.to_vec()) == argument);
    }
    let ps = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    let line = ps.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let argument = argument.to_string_lossy();
    line.trim_end().ends_with(&format!(" {argument}")) || line.contains(&format!(" {argument} "))
}

/// Asks everything that works in `dir` to end. Only for remnants: a killed server's sessions notice its end no sooner
/// than they look for their next command.
pub(super) fn end_all_in(dir: &Path) {
    let names =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for pid in names.filter_map(|name| name.parse().ok()) {
        if fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir) {
            send(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Only ever to one process: 0 and negative numbers address groups, 1 is the system's.
fn send(pid: Pid, signal: Signal) {
    if pid.as_raw() > 1
        && let Err(error) = kill(pid, signal)
        && error != Errno::ESRCH
    {
        tracing::warn!("cannot send {signal} to process {pid}: {error}");
    }
}

fn open_log(path: &Path, home: &Home) -> Result<File> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.old")).ok();
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    if let Some(account) = &home.account {
        fchown(&file, Some(account.uid), Some(account.gid))?;
    }
    Ok(file)
}

fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("  {}", last.join("\n  "))
}
