//! The data directory: one holder at a time, an unprivileged owner when root, and a short private place for sockets.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User, chown};

/// `sun_path` holds 104 bytes on macOS and 108 on Linux, with its closing zero; the longest name of ours that goes
/// after the directory is `/.s.PGSQL.5432`.
const SOCKET_DIRECTORY_BYTES_MAX: usize = 103 - "/.s.PGSQL.5432".len();

/// A data directory that this process holds until the value is dropped.
pub(super) struct Home {
    /// Where clusters and logs are.
    pub dir: PathBuf,
    /// Where sockets are; only the servers' user gets in.
    pub run: PathBuf,
    /// Whom the servers run as, if not as ourselves.
    pub account: Option<Account>,
    _locks: Vec<Lock>,
}

/// The unprivileged user of the servers: PostgreSQL refuses to run as root.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Home {
    /// Creates the directory where it is missing, and takes it.
    pub fn open(data: &Path) -> Result<Home> {
        let data = create(data)?;
        let mut locks = vec![lock(&data)?];
        let mut account = None;
        let mut dir = data.clone();
        if Uid::effective().is_root() {
            let chosen = Account::of_cluster(&data).map_or_else(Account::usual, Ok)?;
            dir = reachable(&data, &chosen)?;
            if dir != data {
                // A copied data directory names the same place as the original.
                locks.push(lock(&dir)?);
            }
            account = Some(Account::of_cluster(&dir).unwrap_or(chosen));
        } else {
            refuse_foreign(&dir)?;
        }
        let run = socket_directory(&dir, account.as_ref())?;
        Ok(Home { dir, run, account, _locks: locks })
    }

    /// A directory of the servers' user below this one, closed to others.
    pub fn private_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        make_private(&path, self.account.as_ref())?;
        Ok(path)
    }
}

impl Account {
    /// The owner of an existing cluster keeps it, whatever users were added since.
    fn of_cluster(dir: &Path) -> Option<Account> {
        let owner = fs::symlink_metadata(dir.join("postgres")).ok().filter(|meta| meta.uid() != 0)?;
        let name = User::from_uid(Uid::from_raw(owner.uid())).ok().flatten();
        let name = name.map_or_else(|| owner.uid().to_string(), |user| user.name);
        Some(Account { name, uid: owner.uid(), gid: owner.gid() })
    }

    fn usual() -> Result<Account> {
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).with_context(|| format!("cannot look up the user {name}"))? {
                return Ok(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() });
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as.\n\
             Start studyhall as an ordinary user, or set DATABASE_URL to a server of your own."
        )
    }

    /// Asks the system itself, as mode bits are not all there is: ACLs, mounts, security modules.
    fn reaches(&self, dir: &Path) -> Result<bool> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(dir).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.uid(self.uid).gid(self.gid).status().with_context(|| {
            format!(
                "cannot start a program as user {}, and PostgreSQL does not run as root; \
                 start studyhall as an ordinary user, or set DATABASE_URL to a server of your own",
                self.name
            )
        })?;
        Ok(status.success())
    }
}

fn create(data: &Path) -> Result<PathBuf> {
    let what = || format!("cannot create the data directory {}; set STUDYHALL_DATA to another place", data.display());
    if !data.exists() {
        fs::create_dir_all(data).with_context(what)?;
        // Open whatever the umask says: the servers' user has to pass. What is private is closed by itself below.
        fs::set_permissions(data, Permissions::from_mode(0o755)).with_context(what)?;
    }
    data.canonicalize().with_context(what)
}

/// A data directory is ours alone. Released by the kernel however this process ends, so that it can never be stale.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a child that is being started has it open as well, until it is another program.
    fn drop(&mut self) {
        self.0.unlock().ok();
    }
}

fn lock(data: &Path) -> Result<Lock> {
    let path = data.join("lock");
    let what = || format!("cannot write {}; make it yours, or set STUDYHALL_DATA to another directory", path.display());
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).with_context(what)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            bail!(
                "another studyhall (process {}) uses the data directory {}.\n\
                 Stop it first, or set STUDYHALL_DATA to another directory for this one.",
                holder.trim(),
                data.display()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(what),
    }
    file.set_len(0).with_context(what)?;
    writeln!(file, "{}", std::process::id()).with_context(what)?;
    Ok(Lock(file))
}

/// A data directory below a closed one, such as root's home, is of no use to another user; then the servers live
/// elsewhere. The file `location` keeps that choice, so that a later change of modes does not hide the data.
fn reachable(data: &Path, account: &Account) -> Result<PathBuf> {
    let note = data.join("location");
    if let Ok(noted) = fs::read_to_string(&note) {
        let noted = PathBuf::from(noted.trim_end());
        if noted.is_dir() {
            return Ok(noted);
        }
    }
    if account.reaches(data)? {
        return Ok(data.to_owned());
    }
    if data.parent().map_or(Ok(true), |parent| account.reaches(parent))? {
        // Only the data directory itself is closed, and that one is ours to open.
        let mode = fs::metadata(data)?.permissions().mode();
        fs::set_permissions(data, Permissions::from_mode(mode | 0o011))
            .with_context(|| format!("cannot let user {} enter {}", account.name, data.display()))?;
        if account.reaches(data)? {
            return Ok(data.to_owned());
        }
    }
    let name = format!("studyhall-{:016x}", hash(data));
    for base in [PathBuf::from("/var/lib"), std::env::temp_dir()] {
        let dir = base.join(&name);
        if make_directory(&dir, 0o711, account).is_ok() && account.reaches(&dir)? {
            fs::write(&note, format!("{}\n", dir.display()))
                .with_context(|| format!("cannot write {}", note.display()))?;
            tracing::warn!(
                "user {}, whom PostgreSQL runs as, cannot enter {}; the private servers live in {}",
                account.name,
                data.display(),
                dir.display()
            );
            return Ok(dir);
        }
    }
    bail!(
        "user {}, whom PostgreSQL runs as, cannot enter {}, nor could a place be made in /var/lib or {}.\n\
         Set STUDYHALL_DATA to a directory that every user can enter.",
        account.name,
        data.display(),
        std::env::temp_dir().display()
    )
}

fn refuse_foreign(dir: &Path) -> Result<()> {
    let Ok(cluster) = fs::symlink_metadata(dir.join("postgres")) else {
        return Ok(());
    };
    if cluster.uid() != Uid::effective().as_raw() {
        bail!(
            "the cluster in {} belongs to another user (uid {}), perhaps since studyhall was started as root there.\n\
             Start it as that user again, or set STUDYHALL_DATA to another directory.",
            dir.join("postgres").display(),
            cluster.uid()
        );
    }
    Ok(())
}

fn socket_directory(dir: &Path, account: Option<&Account>) -> Result<PathBuf> {
    let near = dir.join("run");
    if fits(&near) {
        make_private(&near, account)?;
        return Ok(near);
    }
    for base in [std::env::temp_dir(), PathBuf::from("/tmp")] {
        let away = base.join(format!("studyhall-{:016x}", hash(dir)));
        if fits(&away) && account.map_or(Ok(true), |account| account.reaches(&base))? {
            make_private(&away, account)?;
            return Ok(away);
        }
    }
    bail!(
        "the path {} is too long for a socket, and so is the temporary directory; \
         set STUDYHALL_DATA to a directory with a shorter path",
        near.display()
    )
}

/// Short, and free of everything that a configuration value or a list of directories would have to quote.
fn fits(run: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.-+@~".contains(byte);
    let bytes = run.as_os_str().as_encoded_bytes();
    bytes.len() <= SOCKET_DIRECTORY_BYTES_MAX && bytes.iter().all(plain)
}

fn make_private(path: &Path, account: Option<&Account>) -> Result<()> {
    let own = Account { name: String::new(), uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() };
    let what = || format!("cannot make {} a private directory", path.display());
    make_directory(path, 0o700, account.unwrap_or(&own)).with_context(what)?;
    if let Some(account) = account {
        chown(path, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid))).with_context(what)?;
    }
    Ok(())
}

/// Makes a directory, or takes one that is ours or the account's. A stranger's directory, or a link laid in the
/// temporary directory, is refused: its owner could swap what is in it.
fn make_directory(path: &Path, mode: u32, account: &Account) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() || ![account.uid, Uid::effective().as_raw()].contains(&meta.uid()) {
        bail!("{} belongs to somebody else; remove it", path.display());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}

/// FNV-1a: names derived from it must stay the same for all versions of the compiler, as the standard hasher's need not.
fn hash(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_stay_below_the_limit_and_need_no_quotes() {
        assert!(fits(Path::new("/home/ada/study-hall/.studyhall/run")));
        assert!(!fits(Path::new("/home/ada/study hall/.studyhall/run")));
        assert!(!fits(Path::new("/home/ada/a,b/run")));
        assert!(!fits(&Path::new("/home").join("x".repeat(90))));
    }

    #[test]
    fn a_directory_that_was_given_back_is_free_though_a_child_has_the_lock_open() {
        let data = std::env::temp_dir().join(format!("studyhall-lock-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let first = lock(&data).unwrap();
        let _inherited = first.0.try_clone().unwrap();
        assert!(lock(&data).unwrap_err().to_string().contains("another studyhall"));
        drop(first);
        lock(&data).unwrap();
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(Path::new("a")), 0xaf63_dc4c_8601_ec8c);
    }
}
