//! What nodes of one database know and nobody else.

use super::Db;
use crate::error::Result;

impl Db {
    /// The key that hints from node to node are signed with.
    pub async fn hint_key(&self) -> Result<Vec<u8>> {
        Ok(sqlx::query_scalar!("select hint_key from log_epoch").fetch_one(self.pool()).await?)
    }
}
