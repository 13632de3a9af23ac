//! Where the programs of PostgreSQL and Redis are on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// The oldest PostgreSQL that the migrations are written for.
const POSTGRES_MAJOR_MIN: u32 = 14;
/// The oldest Redis whose commands the bus and presence may use.
const REDIS_MAJOR_MIN: u32 = 7;

/// Where distributions keep servers apart from the `PATH`; one `*` stands for any version.
const POSTGRES_PLACES: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];
const REDIS_PLACES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin"];

const INSTALL_POSTGRES: &str = "\
    Debian, Ubuntu:  apt-get install postgresql\n  \
    Fedora, RHEL:    dnf install postgresql-server\n  \
    macOS:           brew install postgresql@17\n\
If it is in an unusual place, set STUDYHALL_PG_BIN to the directory of `postgres` and `initdb`.\n\
To use a server of your own, set DATABASE_URL.";

/// The directory of `postgres` and `initdb`: the given one, else the one of the version that made the cluster, else
/// the newest.
pub(super) fn postgres(given: Option<&Path>, cluster: Option<(u32, &Path)>) -> Result<PathBuf> {
    let found = match given {
        Some(given) => {
            let Some(major) = postgres_major(given) else {
                bail!("STUDYHALL_PG_BIN is {}, and there are no working `postgres` and `initdb` in it", given.display())
            };
            BTreeMap::from([(major, given.to_owned())])
        }
        None => installed(),
    };
    let list =
        || found.iter().map(|(major, bin)| format!("{major} ({})", bin.display())).collect::<Vec<_>>().join(", ");
    if let Some((major, dir)) = cluster {
        if let Some(bin) = found.get(&major) {
            return Ok(bin.clone());
        }
        let here = if found.is_empty() { "none".to_owned() } else { list() };
        bail!(
            "the data in {} were made by PostgreSQL {major}; on this machine is: {here}.\n\
             Install PostgreSQL {major} again (Debian, Ubuntu: apt-get install postgresql-{major}), or carry the data \
             over with pg_upgrade, or move {} away to begin with an empty database.",
            dir.display(),
            dir.display()
        );
    }
    match found.last_key_value() {
        Some((major, bin)) if *major >= POSTGRES_MAJOR_MIN => Ok(bin.clone()),
        Some(_) => bail!(
            "PostgreSQL {POSTGRES_MAJOR_MIN} or newer is needed; on this machine is: {}. Install a newer one:\n  {INSTALL_POSTGRES}",
            list()
        ),
        None => bail!(
            "PostgreSQL {POSTGRES_MAJOR_MIN} or newer is needed and was not found. Install it:\n  {INSTALL_POSTGRES}"
        ),
    }
}

/// The program of a Redis, or of a Valkey, which speaks the same.
pub(super) fn redis() -> Result<PathBuf> {
    let mut old = None;
    for name in ["redis-server", "valkey-server"] {
        let places = REDIS_PLACES.iter().map(|place| Path::new(place).join(name));
        for program in on_path(name).into_iter().chain(places) {
            // "Redis server v=7.0.15 sha=…"
            let Some(version) = say(&program, "--version") else {
                continue;
            };
            let major = version.split_once("v=").and_then(|(_, rest)| leading_number(rest));
            if major.is_some_and(|major| major >= REDIS_MAJOR_MIN) {
                return Ok(program);
            }
            old = Some(program);
        }
    }
    match old {
        Some(program) => bail!("{} is older than Redis {REDIS_MAJOR_MIN}", program.display()),
        None => bail!("no redis-server here (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)"),
    }
}

/// Every PostgreSQL here by its major version. Of two with one version the first place wins.
fn installed() -> BTreeMap<u32, PathBuf> {
    // Both may be links or wrappers in a general directory, so the real place of the server is what counts.
    let told = say(Path::new("pg_config"), "--bindir").map(|line| PathBuf::from(line.trim()));
    let linked = on_path("postgres").and_then(|program| program.canonicalize().ok());
    let linked = linked.and_then(|program| program.parent().map(Path::to_owned));
    let usual = POSTGRES_PLACES.iter().flat_map(|place| matching(place));
    let mut found = BTreeMap::new();
    for bin in told.into_iter().chain(linked).chain(usual) {
        if found.values().any(|known| *known == bin) {
            continue;
        }
        if let Some(major) = postgres_major(&bin) {
            found.entry(major).or_insert(bin);
        }
    }
    found
}

/// The version of the server in a directory, if it has all that is needed. "postgres (PostgreSQL) 15.18 (Debian …)"
fn postgres_major(bin: &Path) -> Option<u32> {
    if !bin.join("initdb").is_file() {
        return None;
    }
    let version = say(&bin.join("postgres"), "--version")?;
    leading_number(version.split_once("(PostgreSQL) ")?.1)
}

fn matching(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![PathBuf::from(place)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<_> = names
        .filter(|name| name.starts_with(prefix))
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let mut shell = Command::new("/bin/sh");
    let path = output(shell.args(["-c", "command -v -- \"$1\"", "sh", name]))?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_absolute())
}

fn say(program: &Path, option: &str) -> Option<String> {
    output(Command::new(program).arg(option))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_releases_and_previews() {
        assert_eq!(leading_number("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(leading_number("19devel"), Some(19));
        assert_eq!(leading_number("devel"), None);
    }
}
