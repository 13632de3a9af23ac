//! Going away: nobody new, and those who are here are sent elsewhere, a few at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::seq::SliceRandom;
use studyhall_protocol::error::Disconnect;

use super::conn::Conn;
use super::hub::Hub;
use super::limits::{CLOSE_WITHIN, FINISH_WITHIN, SLICE_EVERY, SLICE_MIN};

impl Hub {
    /// Whether it takes no more connections.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Takes no more connections and tells the open ones to come back elsewhere: chosen by lot, in slices spread over
    /// `window`. The command that a connection has under way is finished and answered first. Returns when all are gone,
    /// or those left have had their time.
    pub async fn drain(&self, window: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let mut conns: Vec<Arc<Conn>> = self.conns.iter().map(|conn| conn.clone()).collect();
        // People who came together, a class for one, are not to come back together.
        conns.shuffle(&mut rand::rng());
        let size = slice_size(conns.len(), window);
        let mut slices = conns.chunks(size).peekable();
        while let Some(slice) = slices.next() {
            slice.iter().for_each(|conn| conn.close(Disconnect::SHUTDOWN));
            if slices.peek().is_some() {
                tokio::time::sleep(SLICE_EVERY.min(window)).await;
            }
        }
        drop(conns);
        self.wait_until_gone(FINISH_WITHIN).await;
    }

    /// Ends every task of the engine, and what a drain has left.
    pub async fn stop(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.conns.iter().for_each(|conn| conn.close(Disconnect::SHUTDOWN));
        self.wait_until_gone(2 * CLOSE_WITHIN).await;
        self.stop.cancel();
        self.flusher.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn wait_until_gone(&self, within: Duration) {
        let gone = async {
            while !self.conns.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(within, gone).await;
    }
}

/// Connections per slice, so that all slices fit into the window.
fn slice_size(conns: usize, window: Duration) -> usize {
    let slices = (window.as_millis() / SLICE_EVERY.as_millis()).max(1) as usize;
    conns.div_ceil(slices).max(SLICE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_fit_into_the_window() {
        let window = Duration::from_secs(8);
        assert_eq!(slice_size(0, window), SLICE_MIN);
        assert_eq!(slice_size(1_000, window), SLICE_MIN);
        assert_eq!(slice_size(18_000, window), 225);
        assert_eq!(slice_size(500, Duration::ZERO), 500);
    }
}
