//! What every handler can reach.

use crate::db::{Db, Writer};

/// Shared by all requests; clones are cheap.
#[derive(Clone)]
pub struct AppState {
    /// For reads.
    pub db: Db,
    /// For writes.
    pub writer: Writer,
}
