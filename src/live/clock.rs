//! What happens by time alone: pings, deadlines, holds, idle channels, the budget of the rings.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use studyhall_protocol::error::Disconnect;
use tokio::time::MissedTickBehavior;

use super::conn::Conn;
use super::hub::Hub;
use super::limits::{IDLE_CHANNEL_AFTER, LOST_HOLD, PING_EVERY, PROGRESS_WITHIN, TICK};
use super::time::Ticks;

/// A clock that is so late was not merely busy: the whole process stood still.
const STOOD_STILL: Duration = Duration::from_secs(2);
/// Then it takes this long until all that happened meanwhile is known.
const CATCH_UP: Duration = Duration::from_secs(1);

impl Hub {
    pub(super) async fn run_clock(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticks_per_second = 1_000 / TICK.as_millis() as u64;
        let mut noticed = None;
        for tick in 0_u64.. {
            interval.tick().await;
            let now = Ticks::now();
            self.note_running(now, &mut noticed);
            self.look_after_channels(now);
            self.look_after_people(now);
            if tick % ticks_per_second == 0 {
                self.look_after_connections(now);
            }
            if tick % (4 * ticks_per_second) == 0 {
                self.retire_idle(now);
                self.keep_ring_budget();
            }
        }
    }

    /// After it stood still, a node first hears what happened meanwhile.
    fn note_running(&self, now: Ticks, noticed: &mut Option<Ticks>) {
        if self.ran_at.get().is_some_and(|at| now.since(at) >= STOOD_STILL)
            && now.since(*noticed.get_or_insert(now)) < CATCH_UP
        {
            return;
        }
        *noticed = None;
        self.ran_at.set(Some(now));
    }

    /// For how long somebody whose connection is lost is held. It may have been lost at any time since this node last
    /// ran for certain.
    pub(super) fn lost_hold(&self) -> Duration {
        let still = self.ran_at.get().map_or(Duration::ZERO, |at| Ticks::now().since(at));
        if still < STOOD_STILL { LOST_HOLD } else { LOST_HOLD.saturating_sub(still) }
    }

    pub(super) fn look_after_channels(self: &Arc<Self>, now: Ticks) {
        let timed: Vec<_> = self.timed.lock().iter().copied().collect();
        for channel in timed {
            let topic = self.topics.get(&channel).map(|topic| topic.clone());
            let Some(topic) = topic else {
                self.timed.lock().remove(&channel);
                continue;
            };
            // Out of the list first: whoever adds to the channel meanwhile puts it back.
            self.timed.lock().remove(&channel);
            let (orphans, timed) = topic.tick(now, &self.flusher);
            if timed {
                self.timed.lock().insert(channel);
            }
            for orphan in orphans {
                let (hub, topic) = (self.clone(), topic.clone());
                self.spawn(async move {
                    let (key, gesture) = (orphan.key, orphan.gesture);
                    hub.backend.adopt_orphan(orphan).await;
                    topic.clear_orphan(key, gesture, &hub.flusher);
                });
            }
        }
    }

    pub(super) fn look_after_connections(&self, now: Ticks) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        for conn in self.conns.iter() {
            if let Some(why) = overdue(&conn, now, seconds) {
                match why {
                    Disconnect::NO_PONG | Disconnect::WRITE_ERROR => conn.close_silent(why),
                    _ => conn.close(why),
                }
            } else if conn.times.ping_at.is_due(now) {
                conn.times.ping_at.set(Some(now.after(PING_EVERY)));
                conn.ping(&self.flusher);
            }
        }
    }

    pub(super) fn retire_idle(&self, now: Ticks) {
        self.topics.retain(|_, topic| {
            topic.release_idle(now, IDLE_CHANNEL_AFTER);
            !(topic.is_idle(now, IDLE_CHANNEL_AFTER) && topic.retire())
        });
    }

    /// Above the budget the channels that were used longest ago give their rings back.
    pub(super) fn keep_ring_budget(&self) {
        let now = Ticks::now();
        let mut used: Vec<_> = self.topics.iter().map(|topic| (topic.ring_use(), topic.clone())).collect();
        let mut total: usize = used.iter().map(|((bytes, _), _)| bytes).sum();
        if total <= self.limits.ring_bytes {
            return;
        }
        used.sort_by_key(|((_, last_used), _)| std::cmp::Reverse(now.since(*last_used)));
        for ((bytes, _), topic) in used {
            if total <= self.limits.ring_bytes {
                break;
            }
            topic.drop_rings();
            total -= bytes;
        }
    }
}

fn overdue(conn: &Conn, now: Ticks, seconds: u64) -> Option<Disconnect> {
    let times = &conn.times;
    let expires_at = times.expires_at.load(Ordering::Relaxed);
    if times.connect_by.is_due(now) {
        return Some(Disconnect::NO_CONNECT);
    }
    let stands_still = times.progress_at.get().is_none_or(|at| now.since(at) >= PROGRESS_WITHIN);
    if conn.is_blocked() && stands_still {
        return Some(Disconnect::WRITE_ERROR);
    }
    // A reader that was slow a moment ago has the ping behind what the kernels still hold. And while a command
    // runs nothing is read: its pong may have come long ago.
    if times.pong_by.is_due(now) && stands_still && !conn.busy.load(Ordering::Acquire) {
        return Some(Disconnect::NO_PONG);
    }
    (expires_at != 0 && expires_at <= seconds).then_some(Disconnect::EXPIRED)
}
