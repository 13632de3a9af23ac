//! Tells the others what happens on this node, over the connection that there is.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::time::sleep;

use super::link::Shared;
use super::speak::is_refusal;

/// What comes while others are on their way goes together in the next turn. Where Redis is further away than this, the next turn
/// does not wait for the answer.
const NEAR: Duration = Duration::from_millis(4);
/// Turns on their way.
const UNDER_WAY_MAX: usize = 64;

/// Sends until the connection fails.
pub(super) async fn send(shared: &Shared, connection: &MultiplexedConnection) -> RedisResult<()> {
    let names = shared.names();
    let mut under_way = FuturesUnordered::new();
    loop {
        let turn = shared.outbox.take();
        if turn.is_empty() {
            tokio::select! {
                () = shared.outbox.ready.notified() => {}
                Some(sent) = under_way.next() => answered(sent)?,
            }
            continue;
        }
        let mut pipe = redis::pipe();
        for (channel, hints) in turn {
            let sealed = shared.sealed(channel, &hints);
            pipe.cmd(names.publish).arg(names.place(channel)).arg(sealed).ignore();
        }
        let mut connection = connection.clone();
        under_way.push(async move { pipe.query_async::<()>(&mut connection).await });
        // The pipeline is on its way once it was polled, so turns stay in order.
        tokio::select! {
            Some(sent) = under_way.next() => answered(sent)?,
            () = sleep(NEAR), if under_way.len() < UNDER_WAY_MAX => {}
        }
    }
}

/// Redis is there and does not do it: the events are in the log.
fn answered(sent: Result<(), RedisError>) -> RedisResult<()> {
    match sent {
        Err(error) if is_refusal(&error) => {
            tracing::debug!(%error, "Redis refused hints");
            Ok(())
        }
        other => other,
    }
}
