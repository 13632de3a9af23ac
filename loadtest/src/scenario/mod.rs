//! The scenarios, and what they share.

pub mod closed;
pub mod day;
pub mod feed;
pub mod flood;
pub mod idle;
pub mod lecture;
pub mod presence;
pub mod reads;
pub mod record;
pub mod rooms;
pub mod slow;
pub mod storm;
pub mod tasks;
mod witness;

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Waits until `done` says so; `false` when it does not in time.
pub async fn settle(within: Duration, done: impl Fn() -> bool) -> bool {
    let until = Instant::now() + within;
    while !done() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// Waits until all connections are subscribed.
pub async fn all_ready(ready: &Cell<usize>, expected: usize, within: Duration) -> Result<()> {
    if !settle(within, || ready.get() >= expected).await {
        bail!("only {} of {expected} connections are subscribed after {within:?}", ready.get());
    }
    Ok(())
}
