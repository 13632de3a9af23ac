//! The private PostgreSQL: made once, started with durable settings on a Unix socket, ended in order.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::find;
use super::home::Home;
use super::process::{self, GLANCE, Server, Steps};

/// Fast shutdown, then an immediate one (recovers at the next start), then what cannot be refused.
pub(super) const STOP: Steps = &[
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// Long, as recovery after a crash reads the log again; a server that gives up is noticed at once.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// How long what is left of a killed server may hold on to the cluster.
const FREE_WITHIN: Duration = Duration::from_secs(20);

const NAME: &str = "studyhall";
const PORT: &str = "5432";

/// On the command line they outrank the files of the cluster, so that no edit there costs an acknowledged write or
/// opens a port.
const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_destination=stderr",
    "logging_collector=off",
    "log_line_prefix=%m [%p] ",
    "log_checkpoints=off",
    "cluster_name=studyhall",
    "ssl=off",
];

/// Starts the server of the home's cluster, which is made first where there is none, and returns it with its address
/// when it answers.
pub(super) async fn start(home: &Home, pg_bin: Option<&Path>) -> Result<(Server, String)> {
    let cluster = home.dir.join("postgres");
    remove_unfinished(&home.dir);
    let made_by = complete_cluster(&cluster)?;
    let bin = find::postgres(pg_bin, made_by.map(|major| (major, cluster.as_path())))?;
    if made_by.is_none() {
        tracing::info!("making a private PostgreSQL cluster in {}", cluster.display());
        make_cluster(home, &bin, &cluster).await?;
    }
    let deadline = Instant::now() + FREE_WITHIN;
    let server = loop {
        end_leftover(&cluster).await?;
        forget_sockets(&home.run)?;
        let mut server = spawn(home, &bin, &cluster)?;
        match ready(&mut server, &cluster).await? {
            Start::Ready => break server,
            Start::Occupied if Instant::now() < deadline => {
                process::end_all_in(&cluster);
                sleep(10 * GLANCE).await;
            }
            Start::Occupied => bail!(
                "processes of an earlier PostgreSQL still use {}; end them, or restart the machine.\n{}",
                cluster.display(),
                server.last_words()
            ),
        }
    };
    Ok((server, url(&home.run)))
}

/// The version that made the cluster; `None` if there is no cluster yet. A cluster gets its name when it is complete,
/// so what is there and has no version is not ours to touch.
fn complete_cluster(cluster: &Path) -> Result<Option<u32>> {
    match fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(version) => {
            let major = version.trim().parse();
            Ok(Some(major.with_context(|| format!("{}/PG_VERSION holds no version", cluster.display()))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::remove_dir(cluster) {
            Err(error) if error.kind() != ErrorKind::NotFound => bail!(
                "{} holds something that is not a PostgreSQL cluster; move it away, or set STUDYHALL_DATA to another \
                 directory",
                cluster.display()
            ),
            _ => Ok(None),
        },
        Err(error) => Err(error).with_context(|| format!("cannot read the cluster in {}", cluster.display())),
    }
}

/// Makes the cluster and the database under another name and gives it its own when all is on disk: one that was
/// interrupted half way is never taken for a cluster.
async fn make_cluster(home: &Home, bin: &Path, cluster: &Path) -> Result<()> {
    let unfinished = home.private_directory(&format!("{UNFINISHED}{}", std::process::id()))?;
    // Lower and upper case of all scripts need a locale that knows them; it is missing on some systems.
    let (mut done, mut said) = initdb(home, bin, &unfinished, "C.UTF-8").await?;
    if !done && said.contains("invalid locale name") {
        (done, said) = initdb(home, bin, &unfinished, "C").await?;
    }
    if done {
        (done, said) = create_database(home, bin, &unfinished).await?;
    }
    if !done {
        remove_unfinished(&home.dir);
        bail!("PostgreSQL could not make a cluster in {}:\n{}", home.dir.display(), said.trim_end());
    }
    fs::rename(&unfinished, cluster).with_context(|| format!("cannot name the cluster {}", cluster.display()))?;
    File::open(&home.dir)?.sync_all()?;
    Ok(())
}

const UNFINISHED: &str = "postgres.unfinished-";

/// What cannot be removed now, as its killed maker still writes, is removed the next time.
fn remove_unfinished(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Whoever gets into the socket directory, which is the servers' user alone, needs no password.
async fn initdb(home: &Home, bin: &Path, dir: &Path, locale: &str) -> Result<(bool, String)> {
    let mut command = process::command(&bin.join("initdb"), home);
    command.arg("-D").arg(dir).args(["-U", NAME, "-A", "trust", "-E", "UTF8"]).arg(format!("--locale={locale}"));
    process::finish(command).await
}

/// Without a server, so that a cluster never is complete without its database.
async fn create_database(home: &Home, bin: &Path, dir: &Path) -> Result<(bool, String)> {
    let script = dir.join("create.sql");
    fs::write(&script, format!("create database {NAME};\n"))?;
    let mut command = process::command(&bin.join("postgres"), home);
    command.args(["--single", "-D"]).arg(dir).args(["-c", "exit_on_error=on", "postgres"]);
    command.stdin(Stdio::from(File::open(&script)?));
    let outcome = process::finish(command).await;
    fs::remove_file(&script)?;
    outcome
}

/// Ends the server that a killed `studyhall` left behind, and makes sure that its PID file keeps nobody from starting.
/// PostgreSQL gives up when the file is empty, or names a process that exists, be it a stranger who got that number
/// since the last reboot, or a dead one that nobody collects. The file is not deleted, as it also guards the shared
/// memory of a killed server's sessions: it is made to name us, as PostgreSQL takes its parent for no rival.
async fn end_leftover(cluster: &Path) -> Result<()> {
    let path = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    // A negative number is a stand-alone session's.
    let pid = first.trim().parse::<i32>().map(|pid| Pid::from_raw(pid.saturating_abs()));
    if let Ok(pid) = pid
        && process::runs(pid)
        && process::started_with(pid, cluster)
    {
        tracing::info!("ending the private PostgreSQL that an earlier studyhall left running (process {pid})");
        if !process::end(pid, STOP).await {
            bail!("process {pid}, a PostgreSQL on {}, does not end; end it, then start again", cluster.display());
        }
    }
    if path.exists() {
        fs::write(&path, format!("{}\n{rest}", std::process::id()))
            .with_context(|| format!("{} is stale and cannot be rewritten; remove it", path.display()))?;
    }
    Ok(())
}

/// No server of this cluster runs any more, so sockets and their locks are remnants.
fn forget_sockets(run: &Path) -> Result<()> {
    for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
        match fs::remove_file(run.join(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove the stale {name} in {}", run.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn spawn(home: &Home, bin: &Path, cluster: &Path) -> Result<Server> {
    let mut command = process::command(&bin.join("postgres"), home);
    command.arg("-D").arg(cluster).args(["-p", PORT, "-k"]).arg(&home.run);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    Server::spawn("PostgreSQL", command, home, "postgres.log", STOP)
}

enum Start {
    Ready,
    /// By sessions that outlive their killed server, or by a server that had not written its PID file when we looked.
    Occupied,
}

async fn ready(server: &mut Server, cluster: &Path) -> Result<Start> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = server.ended()? {
            let words = server.last_words();
            let occupied =
                |line: &str| line.contains("shared memory block") || line.contains("\"postmaster.pid\" already");
            if words.rsplit('\n').take(3).any(occupied) {
                return Ok(Start::Occupied);
            }
            bail!("the private PostgreSQL does not start ({status}).\n{words}");
        }
        if server.pid().is_some_and(|pid| says_ready(cluster, pid)) {
            return Ok(Start::Ready);
        }
        if Instant::now() > deadline {
            bail!("the private PostgreSQL is not ready after {} s.\n{}", READY_WITHIN.as_secs(), server.last_words());
        }
        sleep(GLANCE).await;
    }
}

/// PostgreSQL writes its state into the eighth line of its PID file; `pg_ctl` waits for it in the same way.
fn says_ready(cluster: &Path, pid: Pid) -> bool {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// Everything is said, as clients fill gaps from variables such as `PGPORT`, which may be meant for other servers.
fn url(run: &Path) -> String {
    format!("postgres:///{NAME}?host={}&port={PORT}&user={NAME}&sslmode=disable", percent_encoded(run))
}

/// A path as one component of a URL.
fn percent_encoded(path: &Path) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_names_socket_port_and_user() {
        assert_eq!(
            url(Path::new("/srv/a+b/run")),
            "postgres:///studyhall?host=%2Fsrv%2Fa%2Bb%2Frun&port=5432&user=studyhall&sslmode=disable"
        );
    }
}
