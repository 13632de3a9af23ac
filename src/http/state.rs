//! What every handler can reach.

use crate::auth::{Cookies, Passwords, Sessions, Throttle};
use crate::config::Config;
use crate::db::{Db, Writer};
use crate::live::HubLink;
use crate::storage::Storage;

use super::{AllowedOrigins, RateLimits};

/// Shared by all requests; clones are cheap.
#[derive(Clone)]
pub struct AppState {
    /// For reads.
    pub db: Db,
    /// For writes.
    pub writer: Writer,
    /// Whose token is it?
    pub sessions: Sessions,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Slows down guessers.
    pub throttle: Throttle,
    /// Which pages may use cookies here.
    pub origins: AllowedOrigins,
    /// Holds off whoever asks too often.
    pub rates: RateLimits,
    /// Writes and reads the cookie.
    pub cookies: Cookies,
    /// How long a sign-in lasts, in days.
    pub session_days: u32,
    /// The engine: who is here.
    pub hub: HubLink,
    /// The bytes of files.
    pub storage: Storage,
}

impl AppState {
    /// Everything but `db` and `writer` is made from the settings; the engine comes later.
    pub fn new(config: &Config, db: Db, writer: Writer) -> anyhow::Result<Self> {
        Ok(Self {
            sessions: Sessions::new(db.clone()),
            passwords: Passwords::new()?,
            throttle: Throttle::new(db.clone()),
            origins: AllowedOrigins::new(&config.origins)?,
            rates: RateLimits::new(config),
            cookies: Cookies::new(config.secure_cookie),
            session_days: config.session_days,
            hub: HubLink::default(),
            storage: Storage::open(config)?,
            db,
            writer,
        })
    }
}
