//! A node in a process of its own, so that it can be killed, stopped and told to end.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::PATIENCE;

/// A server that ends with the test at the latest.
pub struct Node {
    pub url: String,
    command: Command,
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts one over these stores and waits until it serves.
    pub async fn start(database: &str, redis: Option<&str>) -> Self {
        Self::start_with(database, redis, &[]).await
    }

    /// The same with other settings, by the names of the environment.
    pub async fn start_with(database: &str, redis: Option<&str>, settings: &[(&str, &str)]) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_studyhall")), database, redis, settings).await
    }

    /// The same with another program, or one that starts it.
    pub async fn start_as(
        mut command: Command,
        database: &str,
        redis: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Self {
        command.arg("serve").env("DATABASE_URL", database).env("STUDYHALL_LISTEN", "127.0.0.1:0");
        command.env("STUDYHALL_LIMIT_LOOPBACK", "false").env("STUDYHALL_METRICS_LISTEN", "off").env_remove("REDIS_URL");
        if let Some(redis) = redis {
            command.env("REDIS_URL", redis);
        }
        command.envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = Self::spawn(command).await;
        // Where it is from now on, also after it was killed.
        node.command.env("STUDYHALL_LISTEN", node.url.trim_start_matches("http://"));
        node
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (written, (found, url)) = (log.clone(), tokio::sync::oneshot::channel());
        let errors = std::thread::spawn(move || keep(errors, &written));
        let output = std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let ready = lines.find_map(|line| line.strip_prefix("ready: ").map(str::to_owned));
            let _ = ready.map(|url| found.send(url));
            lines.for_each(drop);
        });
        let url = tokio::time::timeout(PATIENCE, url).await.ok().and_then(Result::ok);
        let url = url.unwrap_or_else(|| panic!("it does not serve: {}", log.lock().unwrap()));
        Self { url, command, child, log, readers: vec![errors, output] }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it once more at the same address, after it ended.
    pub async fn again(&mut self) {
        self.kill();
        let command = std::mem::replace(&mut self.command, Command::new("false"));
        *self = Self::spawn(command).await;
    }

    /// Waits until it has ended by itself; `None` when it does not within the time.
    pub async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(within, ended).await.ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        let log = self.log.lock().unwrap();
        if std::thread::panicking() {
            println!("--- log of the node at {}\n{log}", self.url);
        } else {
            assert!(!log.contains("panicked at"), "{log}");
        }
    }
}

fn keep(errors: impl Read, log: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let _ = writeln!(log.lock().unwrap(), "{line}");
    }
}
