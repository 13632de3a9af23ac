//! How many files this process may have open, and what follows for connections.
//!
//! A process that runs out of them can neither accept nor refuse, and its pool cannot replace a connection that broke. So
//! the bounds on sockets are cut to what there is, and what goes beyond them is refused in words.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// Plain HTTP connections beside the sockets of the hub, where there is room.
const HTTP_MAX: usize = 4_096;
/// For listeners, Redis, the page of metrics, the runtime, and those who are being refused.
const OTHERS: usize = 64;

/// What the accept loops may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Plain HTTP connections.
    pub http: usize,
    /// Sockets and streams of the hub.
    pub connections: usize,
}

/// Raises the limit as far as an ordinary process may, and shares out what there is.
pub fn room(config: &Config) -> Room {
    let limit = raise();
    let room = share(limit, config.database_connections as usize, config.connections_max);
    if room.connections < config.connections_max {
        tracing::warn!(
            "this process may have {limit} files open: at most {} sockets at once instead of the {} of \
             STUDYHALL_CONNECTIONS_MAX; raise the limit (ulimit -n, or LimitNOFILE= of the service)",
            room.connections,
            config.connections_max,
        );
    }
    room
}

fn raise() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let limit = if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn share(limit: usize, database: usize, connections_max: usize) -> Room {
    let left = limit.saturating_sub(database + OTHERS);
    let least = (left / 12).max(32).min(left / 2).clamp(1, HTTP_MAX);
    let http = left.saturating_sub(connections_max).clamp(least, HTTP_MAX);
    Room { http, connections: left.saturating_sub(http).clamp(1, connections_max.max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_shared_out() {
        assert_eq!(share(usize::MAX, 16, 18_000), Room { http: 4_096, connections: 18_000 });
        assert_eq!(share(20_000, 16, 18_000), Room { http: 1_920, connections: 18_000 });
        assert_eq!(share(256, 16, 18_000), Room { http: 32, connections: 144 });
        assert_eq!(share(10, 16, 18_000), Room { http: 1, connections: 1 });
    }
}
