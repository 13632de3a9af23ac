//! A node in a process of its own, so that it can be killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server that ends with the test at the latest.
pub struct Process {
    pub url: String,
    child: Child,
}

impl Process {
    /// Starts one over these stores and waits until it serves.
    pub async fn start(database: &str, redis: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_studyhall"));
        command.arg("serve").env("DATABASE_URL", database).env("STUDYHALL_LISTEN", "127.0.0.1:0");
        command.env("STUDYHALL_LIMIT_LOOPBACK", "false").env("STUDYHALL_METRICS_LISTEN", "off").env_remove("REDIS_URL");
        if let Some(redis) = redis {
            command.env("REDIS_URL", redis);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let url = tokio::task::spawn_blocking(move || {
            let ready = |line: String| line.strip_prefix("ready: ").map(str::to_owned);
            BufReader::new(output).lines().map_while(Result::ok).find_map(ready).expect("it does not serve")
        });
        Self { url: url.await.unwrap(), child }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
