//! Who does a token belong to?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::{Token, sql};
use crate::db::{Db, Together};
use crate::error::{Error, Result as OurResult};
use crate::live::backend::{Identity, Refusal};

/// How long an answer is believed. A sign-in that ended on another node is noticed at the latest after this.
const FRESH: Duration = Duration::from_secs(5);
/// Answers kept at once.
const KEPT_MAX: usize = 20_000;
/// With fewer, old ones are not looked for.
const KEPT_MIN: usize = 256;

/// Tokens in one statement: as many as are connecting at the same moment in a storm, or nearly.
const ASKED_AT_ONCE: usize = 500;

type Hash = [u8; 32];
type Asking = Together<Hash, Result<Identity, Refusal>>;

/// Recognises people. Clones share the answers, and ask together.
#[derive(Clone)]
pub struct Sessions {
    asking: Asking,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    by_hash: HashMap<Hash, (Instant, Identity)>,
    /// As many as there were after the old ones were last thrown out.
    kept: usize,
    /// Raised by `forget`: an answer that was asked for before it must not be kept after it.
    generation: u64,
}

impl Sessions {
    /// Recognises people by `db`.
    pub fn new(db: Db) -> Self {
        let asking = Together::new(
            ASKED_AT_ONCE,
            |_| 1,
            move |hashes| {
                let db = db.clone();
                async move { ask(&db, &hashes).await }.boxed()
            },
        );
        Self { asking, known: Arc::default() }
    }

    /// Whose token is it? Asks the database, together with others who ask now, unless the same was asked within 5 s.
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
        let identity = self.asking.ask(hash).await.unwrap_or(Err(Refusal::Unavailable))?;
        self.keep(hash, asked, &identity, generation);
        Ok(identity)
    }

    /// Whose token it was when it was last asked for, without asking again. For counting, never for letting in.
    pub fn last_seen(&self, token: &str) -> Option<Uuid> {
        let hash = Token::parse(token)?.hash();
        self.lock().by_hash.get(&hash).map(|(_, identity)| identity.user_id)
    }

    fn keep(&self, hash: Hash, asked: Instant, identity: &Identity, generation: u64) {
        let mut known = self.lock();
        if known.generation != generation {
            return;
        }
        // Now and then, so that a storm's answers are not kept for ever.
        if known.by_hash.len() >= (2 * known.kept).clamp(KEPT_MIN, KEPT_MAX) {
            known.by_hash.retain(|_, (asked, _)| asked.elapsed() < FRESH);
            known.by_hash.shrink_to(KEPT_MIN);
            known.kept = known.by_hash.len();
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

/// One answer per token, in order.
async fn ask(db: &Db, hashes: &[Hash]) -> Option<Vec<Result<Identity, Refusal>>> {
    let found = sql::select_by_tokens(db.pool(), hashes).await;
    let found = found.inspect_err(|error| tracing::warn!(%error, "cannot tell whose tokens these are")).ok()?;
    let mut answers: Vec<_> = hashes.iter().map(|_| Err(Refusal::Unauthorized)).collect();
    for found in found {
        let answer = usize::try_from(found.number - 1).ok().and_then(|number| answers.get_mut(number));
        let Some(answer) = answer else { continue };
        *answer = match (found.expired, found.ended) {
            (true, _) => Err(Refusal::Expired),
            (false, true) => Err(Refusal::Unauthorized),
            (false, false) => identity(found).map_err(|_| Refusal::Unavailable),
        };
    }
    Some(answers)
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
