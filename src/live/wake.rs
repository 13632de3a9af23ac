//! Wakes the task of a connection.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A bell that one task listens to, always the same. What rings before it listens is not lost; what rings twice before it
/// looks counts once.
///
/// The reader of a connection asks it at every message, and it has hardly ever rung. So the waker stays: to ask again
/// is one look at a flag, where a general notification takes a lock.
#[derive(Debug, Default)]
pub(super) struct Wake {
    rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl Wake {
    pub fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if let Some(listener) = &*self.listener.lock() {
            listener.wake_by_ref();
        }
    }

    /// Whether it has rung. `listens` is `false` at the task's first question, and then kept by it.
    pub fn poll(&self, listens: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
        if !*listens {
            let mut listener = self.listener.lock();
            if !listener.as_ref().is_some_and(|listener| listener.will_wake(cx.waker())) {
                *listener = Some(cx.waker().clone());
            }
            *listens = true;
        }
        let rung = self.rung.load(Ordering::SeqCst) && self.rung.swap(false, Ordering::SeqCst);
        if rung { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until it rings.
    pub async fn rung(&self) {
        let mut listens = false;
        poll_fn(|cx| self.poll(&mut listens, cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_ring_is_lost() {
        let (there, back) = (Arc::new(Wake::default()), Arc::new(Wake::default()));
        let (near, far) = (there.clone(), back.clone());
        let other = tokio::spawn(async move {
            for _ in 0..10_000 {
                near.rung().await;
                far.ring();
            }
        });
        let mut listens = false;
        for _ in 0..10_000 {
            there.ring();
            // As the reader of a connection asks: with what it knows from its first question.
            poll_fn(|cx| back.poll(&mut listens, cx)).await;
        }
        other.await.unwrap();
    }

    #[tokio::test]
    async fn rings_before_anybody_looks_count_once() {
        let wake = Wake::default();
        wake.ring();
        wake.ring();
        wake.rung().await;
        let again = poll_fn(|cx| Poll::Ready(wake.poll(&mut false, cx))).await;
        assert!(again.is_pending());
    }
}
