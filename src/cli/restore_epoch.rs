//! `studyhall restore-epoch`: the database is an older copy of itself.

use crate::config::Config;
use crate::db::Db;

/// Brings the schema up to date and gives the log a new epoch. Nodes that run notice within two seconds, and every client
/// is told to load its state again.
pub async fn restore_epoch(config: &Config) -> anyhow::Result<()> {
    let url = config.database_url.as_deref().ok_or_else(|| anyhow::anyhow!("set DATABASE_URL to the database"))?;
    let db = Db::connect(url, 2).await?;
    db.migrate().await?;
    let old = db.epoch();
    let new = db.begin_epoch(None).await?.unwrap_or_default();
    println!("the log's epoch was {old} and is {new} now; every client loads its state again");
    Ok(())
}
