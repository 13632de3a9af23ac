//! Passwords: argon2id, in few threads at a time.
//!
//! A hash works in 19 MiB of memory. Those are kept and used again: freed to the allocator they come back fragmented,
//! and the process grows with every sign-in.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use studyhall_protocol::accounts::PASSWORD_BYTES_MAX;
use studyhall_protocol::check::FieldError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// Memory of one hash, in KiB; with two rounds and one lane, what OWASP recommends.
const MEMORY_KIB: u32 = 19_456;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once. Each takes a core and 19 MiB for about 30 ms.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// Hashes and compares passwords. Clones share the turns.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Working memory that no hash uses right now; at most one piece per turn.
    memory: Memory,
    /// Of a password that nobody has: comparing with it costs as much as with a real one.
    nobody: Arc<str>,
}

type Memory = Arc<Mutex<Vec<Vec<Block>>>>;

/// A turn. It moves into the thread that hashes, so that whoever stops waiting does not make room for more threads.
pub struct Permit {
    _held: OwnedSemaphorePermit,
}

impl Passwords {
    /// Ready to hash.
    pub fn new() -> anyhow::Result<Self> {
        let memory = Memory::default();
        let nobody =
            hash(&memory, uuid::Uuid::new_v4().as_bytes()).map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), memory, nobody: nobody.into() })
    }

    /// Waits for a turn; 503 `busy` after 2 s.
    pub async fn turn(&self) -> Result<Permit> {
        let busy = || Error::unavailable("busy", "too many people sign in right now; try again shortly");
        match tokio::time::timeout(TURN_WAIT, self.turns.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit { _held: permit }),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// The hash to store. 422 if the password is too long.
    pub async fn hash(&self, permit: Permit, password: String) -> Result<String> {
        check_length("password", &password)?;
        let memory = self.memory.clone();
        let hashed = in_thread(permit, move || hash(&memory, password.as_bytes())).await?.1;
        hashed.map_err(|error| Error::internal(anyhow::anyhow!("argon2: {error}")))
    }

    /// Whether the password is the one that `stored` was made of. Without `stored`, because nobody has that name,
    /// never, and it takes as long. Hands the turn back for a next step under the same.
    pub async fn verify(&self, permit: Permit, password: String, stored: Option<String>) -> Result<(Permit, bool)> {
        check_length("password", &password)?;
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        let memory = self.memory.clone();
        let (permit, right) = in_thread(permit, move || compare(&memory, password.as_bytes(), &stored)).await?;
        let right = right.map_err(|error| Error::internal(anyhow::anyhow!("a stored password hash: {error}")))?;
        Ok((permit, right && known))
    }
}

/// Refuses what would only cost time. Before anything is hashed.
pub(super) fn check_length(field: &str, password: &str) -> Result<()> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::invalid(FieldError::new(field, format!("must have at most {PASSWORD_BYTES_MAX} bytes"))));
    }
    Ok(())
}

async fn in_thread<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(Permit, T)> {
    let work = move || {
        let done = work();
        (permit, done)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

type Outcome<T> = Result<T, argon2::password_hash::Error>;

fn hash(memory: &Memory, password: &[u8]) -> Outcome<String> {
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None)?;
    let salt = Salt::new(&rand::random::<[u8; 16]>())?;
    let output = compute(memory, password, &salt, Version::V0x13, params.clone())?;
    let hashed = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(hashed.to_string())
}

/// With the parameters of the stored hash.
fn compare(memory: &Memory, password: &[u8], stored: &str) -> Outcome<bool> {
    let stored = PasswordHash::new(stored)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(argon2::password_hash::Error::PasswordInvalid);
    };
    let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from)?;
    let output = compute(memory, password, salt, version, Params::try_from(&stored)?)?;
    // Compares in constant time.
    Ok(output == *expected && stored.algorithm == Algorithm::Argon2id.ident())
}

fn compute(memory: &Memory, password: &[u8], salt: &Salt, version: Version, params: Params) -> Outcome<Output> {
    let mut blocks = memory.lock().pop().unwrap_or_default();
    blocks.resize(params.block_count(), Block::default());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let hasher = Argon2::new(Algorithm::Argon2id, version, params);
    let done = hasher.hash_password_into_with_memory(password, salt, &mut output, &mut blocks);
    memory.lock().push(blocks);
    done?;
    Ok(Output::new(&output)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_somebody() {
        let passwords = Passwords::new().unwrap();
        let turn = passwords.turn().await.unwrap();
        let stored = passwords.hash(turn, "correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let turn = passwords.turn().await.unwrap();
        let (turn, right) = passwords.verify(turn, "correct horse".into(), Some(stored.clone())).await.unwrap();
        assert!(right);
        let (turn, right) = passwords.verify(turn, "wrong".into(), Some(stored)).await.unwrap();
        assert!(!right);
        let (turn, right) = passwords.verify(turn, "correct horse".into(), None).await.unwrap();
        assert!(!right);
        assert!(passwords.verify(turn, "x".repeat(1_025), None).await.is_err());
        assert_eq!(passwords.turns.available_permits(), AT_ONCE);
    }
}
