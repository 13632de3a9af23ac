//! `studyhall dev` as a person meets it: the built program, an empty directory, a terminal's signals. After whatever
//! happened to it before, the next start works without anybody cleaning up.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::{Value, json};

/// Long, for a machine that compiles at the same time. Nothing waits this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn it_serves_and_leaves_nothing_behind_when_interrupted() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    let address = dev.ready();
    assert_eq!(get(&format!("{address}/readyz")), 200);
    let servers = data.servers();
    assert!(servers.iter().all(|pid| runs(*pid)), "its servers run: {servers:?}");

    dev.signal(Signal::SIGINT);

    assert_eq!(dev.exit().code(), Some(0), "{}", dev.said);
    assert_eq!(servers.into_iter().find(|pid| runs(*pid)), None, "a server is left");
    assert!(data.servers().is_empty(), "a PID file is left");
    assert!(!data.path.join("run/redis.sock").exists() && !data.path.join("run/.s.PGSQL.5432").exists());
}

#[test]
fn the_next_start_finds_the_data() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    sign_up(&dev.ready(), "wanda");
    dev.stop();

    let mut dev = Dev::start(&data);
    assert_eq!(sign_in(&dev.ready(), "wanda"), 201);
    dev.stop();
}

#[test]
fn after_a_kill_the_next_start_works_and_nothing_acknowledged_is_lost() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    sign_up(&dev.ready(), "wanda");
    let left = data.servers();
    dev.signal(Signal::SIGKILL);
    assert_eq!(dev.exit().signal(), Some(9));

    let mut dev = Dev::start(&data);
    assert_eq!(sign_in(&dev.ready(), "wanda"), 201);
    let servers = data.servers();
    assert!(left.iter().all(|pid| !servers.contains(pid) && !runs(*pid)), "{left:?} was ended, not doubled");
    dev.stop();
    assert_eq!(servers.into_iter().find(|pid| runs(*pid)), None, "a server is left");
}

#[test]
fn after_a_kill_of_postgres_too_the_next_start_recovers() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    sign_up(&dev.ready(), "wanda");
    let left = data.servers();
    dev.signal(Signal::SIGKILL);
    for pid in left {
        kill(pid, Signal::SIGKILL).expect("it runs");
    }
    dev.exit();

    let mut dev = Dev::start(&data);
    assert_eq!(sign_in(&dev.ready(), "wanda"), 201);
    dev.stop();
}

#[test]
fn a_private_server_that_dies_ends_the_program_with_an_explanation() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    dev.ready();
    let servers = data.servers();
    kill(servers[0], Signal::SIGKILL).expect("it runs");

    assert_ne!(dev.exit().code(), Some(0));
    assert!(dev.said.contains("the private PostgreSQL ended by itself"), "{}", dev.said);
    assert_eq!(servers.into_iter().find(|pid| runs(*pid)), None, "the other is left");
}

#[test]
fn a_first_start_that_was_killed_half_way_is_done_again() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    dev.line("making a private PostgreSQL cluster");
    dev.signal(Signal::SIGKILL);
    dev.exit();
    assert!(!data.path.join("postgres").exists(), "half a cluster must not look like one");

    let mut dev = Dev::start(&data);
    dev.ready();
    dev.stop();
}

#[test]
fn a_stale_pid_file_that_names_a_stranger_is_no_obstacle() {
    let data = Data::new();
    let mut dev = Dev::start(&data);
    dev.ready();
    let file = data.path.join("postgres/postmaster.pid");
    let written = fs::read_to_string(&file).expect("PostgreSQL writes it");
    dev.stop();
    // As after a reboot: the file is there, and its number is now that of another program of the same user.
    let mut stranger = Stranger::of_owner(&data.path.join("postgres"));
    let rest = written.split_once('\n').expect("several lines").1;
    fs::write(&file, format!("{}\n{rest}", stranger.0.id())).expect("a writable cluster");
    let owner = fs::metadata(data.path.join("postgres")).expect("a cluster");
    chown(&file, Some(owner.uid()), Some(owner.gid())).expect("ours, or we are root");

    let mut dev = Dev::start(&data);
    dev.ready();
    assert!(stranger.0.try_wait().expect("our child").is_none(), "the stranger was harmed");
    dev.stop();
}

#[test]
fn two_on_one_data_directory_are_told_apart() {
    let data = Data::new();
    let mut first = Dev::start(&data);
    let address = first.ready();

    let mut second = Dev::start(&data);
    assert_ne!(second.exit().code(), Some(0));
    let path = data.path.display().to_string();
    assert!(second.said.contains("another studyhall") && second.said.contains(&path), "{}", second.said);

    assert_eq!(get(&format!("{address}/readyz")), 200, "the first goes on");
    first.stop();
}

#[test]
fn metrics_are_on_a_port_of_their_own_which_a_second_server_takes_over() {
    let (one, other) = (Data::new(), Data::new());
    let mut first = Dev::start_with(&one, "127.0.0.1:0");
    let address = first.ready();
    let page = first.has_said("metrics at http://127.0.0.1:");
    let page = page.split_once("metrics at ").expect("an address").1.to_owned();
    assert_eq!((get(&page), get(&format!("{address}/metrics"))), (200, 404));

    let metrics = page.trim_start_matches("http://").trim_end_matches("/metrics");
    let mut second = Dev::start_with(&other, metrics);
    let address = second.ready();
    second.has_said("no metrics for now");
    assert_eq!(get(&format!("{address}/readyz")), 200, "it serves people all the same");

    first.stop();
    second.line(&page);
    assert_eq!(get(&page), 200);
    second.stop();
}

/// A directory that goes with its test.
struct Data {
    path: PathBuf,
}

impl Data {
    fn new() -> Data {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("studyhall-dev-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().canonicalize().expect("a temporary directory").join(name);
        fs::create_dir(&path).expect("a writable temporary directory");
        Data { path }
    }

    /// PostgreSQL's process, then Redis's where there is one, as their PID files say.
    fn servers(&self) -> Vec<Pid> {
        let files = ["postgres/postmaster.pid", "redis/redis.pid"].map(|name| fs::read_to_string(self.path.join(name)));
        let pids = files.into_iter().flatten().map(|text| text.lines().next().map(str::trim).map(str::parse));
        pids.map(|pid| Pid::from_raw(pid.expect("a line").expect("a number"))).collect()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// A running `studyhall dev`.
struct Dev {
    pid: Pid,
    lines: Receiver<String>,
    exit: Receiver<ExitStatus>,
    ended: bool,
    /// All that it has said, for the message of a failure.
    said: String,
}

impl Dev {
    fn start(data: &Data) -> Dev {
        Dev::start_with(data, "off")
    }

    fn start_with(data: &Data, metrics: &str) -> Dev {
        let mut command = Command::new(env!("CARGO_BIN_EXE_studyhall"));
        command.arg("dev").env("STUDYHALL_DATA", &data.path).env("STUDYHALL_LISTEN", "127.0.0.1:0");
        command.env("STUDYHALL_METRICS_LISTEN", metrics);
        for name in ["DATABASE_URL", "REDIS_URL", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the built program starts");
        let pid = Pid::from_raw(child.id().try_into().expect("a small number"));
        let (line, lines) = channel();
        read_lines(child.stdout.take().expect("piped"), line.clone());
        read_lines(child.stderr.take().expect("piped"), line);
        let (ended, exit) = channel();
        thread::spawn(move || ended.send(child.wait().expect("our child")));
        Dev { pid, lines, exit, ended: false, said: String::new() }
    }

    /// The address in its line `ready: http://127.0.0.1:PORT`.
    fn ready(&mut self) -> String {
        let line = self.line("ready: http://127.0.0.1:");
        line.trim_start_matches("ready: ").trim().to_owned()
    }

    /// A line with `text` in it, now or before: output and log are two streams.
    fn has_said(&mut self, text: &str) -> String {
        let before = self.said.lines().find(|line| line.contains(text)).map(str::to_owned);
        before.unwrap_or_else(|| self.line(text))
    }

    /// The next line with `text` in it.
    fn line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
        panic!("it never said {text:?}, but:\n{}", self.said);
    }

    fn signal(&self, signal: Signal) {
        assert!(!self.ended, "its number may be another's by now");
        kill(self.pid, signal).expect("it runs");
    }

    fn exit(&mut self) -> ExitStatus {
        let status = self.exit.recv_timeout(PATIENCE).expect("it ends");
        self.ended = true;
        // A server that it left running may hold no end of its output, so this is everything.
        for line in &self.lines {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        status
    }

    fn stop(mut self) {
        self.signal(Signal::SIGINT);
        assert_eq!(self.exit().code(), Some(0), "{}", self.said);
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A failed test must not leave its servers to the tests after it.
        if !self.ended && kill(self.pid, Signal::SIGINT).is_ok() {
            self.exit.recv_timeout(PATIENCE).ok();
        }
    }
}

/// A process of the cluster's owner that has nothing to do with it.
struct Stranger(Child);

impl Stranger {
    fn of_owner(cluster: &Path) -> Stranger {
        let owner = fs::metadata(cluster).expect("a cluster");
        let mut command = Command::new("sleep");
        command.arg("600").current_dir("/");
        if Uid::effective().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Stranger(command.spawn().expect("every system can sleep"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// Where nobody collects orphans, the dead keep their number: they are told by their state.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(pid, None).is_ok() && !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn get(url: &str) -> u16 {
    block_on(reqwest::Client::new().get(url)).0
}

const PASSWORD: &str = "correct horse battery staple";

fn sign_up(address: &str, username: &str) {
    let body = json!({ "username": username, "password": PASSWORD });
    let (status, answer) = block_on(reqwest::Client::new().post(format!("{address}/api/v1/accounts")).json(&body));
    assert_eq!(status, 201, "{answer}");
}

fn sign_in(address: &str, username: &str) -> u16 {
    let body = json!({ "username": username, "password": PASSWORD });
    block_on(reqwest::Client::new().post(format!("{address}/api/v1/sessions")).json(&body)).0
}

fn block_on(request: reqwest::RequestBuilder) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = request.timeout(PATIENCE).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    })
}
