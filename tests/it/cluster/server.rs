//! A Redis of one test, which may be killed.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::aio::MultiplexedConnection;
use studyhall::dev::Private;

pub struct Server {
    pub url: String,
    data: PathBuf,
    private: Option<Private>,
    /// Ends the server and tidies up, however these tests end.
    watchdog: Option<Child>,
}

impl Server {
    pub async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("studyhall-redis-{}-{number}", std::process::id()));
        let mut server = Self { url: String::new(), data, private: None, watchdog: None };
        server.again().await;
        server
    }

    /// Starts once more what was killed, at the same address and empty.
    pub async fn again(&mut self) {
        assert!(self.private.is_none());
        let private = Private::start(&self.data, false, true, None).await.unwrap();
        self.url = private.redis_url.clone().expect("these tests need a redis-server");
        self.private = Some(private);
        let pid = self.pid().await;
        let script = r#"read -r _; kill -KILL "$1" 2>/dev/null; [ -n "$2" ] && rm -rf "$2""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &pid.to_string()]).arg(&self.data).process_group(0);
        let watchdog = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.watchdog = Some(watchdog);
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        kill(Pid::from_raw(self.pid().await), Signal::SIGKILL).unwrap();
        // Who watched over it would remove the directory as well.
        if let Some(mut watchdog) = self.watchdog.take() {
            watchdog.kill().unwrap();
            watchdog.wait().unwrap();
        }
        self.private.take().unwrap().stop().await.unwrap();
    }

    pub async fn connect(&self) -> MultiplexedConnection {
        redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// One command, in words.
    pub async fn ask<T: redis::FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.connect().await).await.unwrap()
    }

    /// A number from `INFO`.
    pub async fn info(&self, section: &str, name: &str) -> i64 {
        let text: String = self.ask(&format!("INFO {section}")).await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    async fn pid(&self) -> i32 {
        i32::try_from(self.info("server", "process_id").await).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.private.take());
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
        // What was killed last has nobody who watches over it.
        let _ = std::fs::remove_dir_all(&self.data);
    }
}
