//! Who does a token belong to?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::{Token, sql};
use crate::db::Db;
use crate::error::{Error, Result as OurResult};
use crate::live::backend::{Identity, Refusal};

/// How long an answer is believed. A sign-in that ended on another node is noticed at the latest after this.
const FRESH: Duration = Duration::from_secs(5);
/// Answers kept at once.
const KEPT_MAX: usize = 20_000;

/// Recognises people. Clones share the answers.
#[derive(Clone)]
pub struct Sessions {
    db: Db,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    by_hash: HashMap<[u8; 32], (Instant, Identity)>,
    /// Raised by `forget`: an answer that was asked for before it must not be kept after it.
    generation: u64,
}

impl Sessions {
    /// Recognises people by `db`.
    pub fn new(db: Db) -> Self {
        Self { db, known: Arc::default() }
    }

    /// Whose token is it? At most one query; none when the same was asked within 5 s.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, Refusal> {
        let hash = Token::parse(token).ok_or(Refusal::Unauthorized)?.hash();
        let generation = {
            let known = self.lock();
            if let Some((asked, identity)) = known.by_hash.get(&hash)
                && asked.elapsed() < FRESH
            {
                let expired = identity.expires_at <= Utc::now();
                return if expired { Err(Refusal::Expired) } else { Ok(identity.clone()) };
            }
            known.generation
        };
        let asked = Instant::now();
        let identity = self.ask(&hash).await?;
        self.keep(hash, asked, &identity, generation);
        Ok(identity)
    }

    /// Whose token it was when it was last asked for, without asking again. For counting, never for letting in.
    pub fn last_seen(&self, token: &str) -> Option<Uuid> {
        let hash = Token::parse(token)?.hash();
        self.lock().by_hash.get(&hash).map(|(_, identity)| identity.user_id)
    }

    async fn ask(&self, hash: &[u8; 32]) -> Result<Identity, Refusal> {
        let found = sql::select_by_token(self.db.pool(), hash).await.map_err(|error| {
            tracing::warn!(%error, "cannot tell whose token it is");
            Refusal::Unavailable
        })?;
        let found = found.ok_or(Refusal::Unauthorized)?;
        if found.expired {
            return Err(Refusal::Expired);
        }
        if found.ended {
            return Err(Refusal::Unauthorized);
        }
        identity(found).map_err(|_| Refusal::Unavailable)
    }

    fn keep(&self, hash: [u8; 32], asked: Instant, identity: &Identity, generation: u64) {
        let mut known = self.lock();
        if known.generation != generation {
            return;
        }
        if known.by_hash.len() >= KEPT_MAX {
            known.by_hash.retain(|_, (asked, _)| asked.elapsed() < FRESH);
        }
        if known.by_hash.len() < KEPT_MAX {
            known.by_hash.insert(hash, (asked, identity.clone()));
        }
    }

    /// These sign-ins ended: the next request with one of them asks the database.
    pub fn forget(&self, session_ids: &[Uuid]) {
        let mut known = self.lock();
        known.generation += 1;
        known.by_hash.retain(|_, (_, identity)| !session_ids.contains(&identity.session_id));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(found: sql::Authenticated) -> OurResult<Identity> {
    /// What rooms show of a person, in the words of the profile.
    #[derive(Serialize)]
    struct Info<'a> {
        username: &'a str,
        full_name: Option<&'a str>,
        profile_image_url: Option<&'a str>,
    }
    let info = Info {
        username: &found.username,
        full_name: found.full_name.as_deref(),
        profile_image_url: found.profile_image_url.as_deref(),
    };
    Ok(Identity {
        user_id: found.user_id,
        session_id: found.session_id,
        expires_at: found.expires_at,
        info: Arc::from(to_raw_value(&info).map_err(Error::internal)?),
    })
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => Error::unauthorized(),
            Refusal::Expired => Error::status(
                axum::http::StatusCode::UNAUTHORIZED,
                "token_expired",
                "this sign-in has ended; sign in again",
            ),
            Refusal::Unavailable => Error::unavailable("unavailable", "cannot tell who you are now; try again shortly"),
        }
    }
}
