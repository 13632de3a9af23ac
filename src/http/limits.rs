//! How often REST may be asked: by person once somebody is known, by address before.
//!
//! Per node, and meant for mistakes and greed; whoever guesses passwords is slowed down by `auth::Throttle`, on all
//! nodes together. Sockets have their own limits in the engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AppState, caller};
use crate::config::Config;
use crate::error::{Error, Result};

/// Where accounts are made; behind the address of the API or not.
const SIGN_UP: &str = "/accounts";
/// Between two looks for keys that have their whole allowance again.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Who is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Person(Uuid),
    /// An IPv6 address stands for its /64: that is what one customer gets.
    Address(IpAddr),
}

/// The allowances of REST. Clones share them.
#[derive(Clone)]
pub struct RateLimits {
    requests: Option<Arc<DefaultKeyedRateLimiter<Key>>>,
    sign_ups: Option<Arc<DefaultKeyedRateLimiter<Key>>>,
    trusted_proxies: usize,
    limit_loopback: bool,
}

impl RateLimits {
    /// As the settings say.
    pub fn new(config: &Config) -> Self {
        let burst = NonZeroU32::new(config.requests_burst).unwrap_or(NonZeroU32::MIN);
        let requests =
            NonZeroU32::new(config.requests_per_second).map(|rate| Quota::per_second(rate).allow_burst(burst));
        let sign_ups = NonZeroU32::new(config.sign_ups_per_hour).map(Quota::per_hour);
        let limiter = |quota| Arc::new(RateLimiter::keyed(quota));
        Self {
            requests: requests.map(limiter),
            sign_ups: sign_ups.map(limiter),
            trusted_proxies: config.trusted_proxies,
            limit_loopback: config.limit_loopback,
        }
    }

    /// 429 `too_many_requests` when `key` has used up what it may.
    fn spend(limiter: Option<&DefaultKeyedRateLimiter<Key>>, key: Key, what: &str) -> Result<()> {
        let Some(Err(not_until)) = limiter.map(|limiter| limiter.check_key(&key)) else {
            return Ok(());
        };
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        // Rounded up: after 0 s it would be too early again.
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Err(Error::too_many("too_many_requests", format!("too many {what}; try again in {seconds} s"), seconds))
    }

    /// Where a request comes from, as far as the proxies can be trusted.
    pub fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        address(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), headers, self.trusted_proxies)
    }

    /// Drops the keys that have their whole allowance back, every minute until `stop`: nobody can fill the memory
    /// with addresses.
    pub async fn forget(self, stop: CancellationToken) {
        while tokio::time::timeout(FORGET_EVERY, stop.cancelled()).await.is_err() {
            self.forget_now();
        }
    }

    fn forget_now(&self) {
        for limiter in [&self.requests, &self.sign_ups].into_iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// Lets a request through, or answers 429. It asks no database: a token that this node has not seen yet counts for
/// its address.
pub async fn hold_off(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(state: &AppState, request: &Request) -> Result<()> {
    let rates = &state.rates;
    let address = rates.address(request.extensions(), request.headers());
    if address.is_loopback() && !rates.limit_loopback {
        return Ok(());
    }
    let address = Key::Address(network(address));
    if request.method() == Method::POST && request.uri().path().ends_with(SIGN_UP) {
        RateLimits::spend(rates.sign_ups.as_deref(), address, "new accounts from this address")?;
    }
    let token = caller::token(request.headers(), &state.cookies);
    let person = token.and_then(|token| state.sessions.last_seen(token));
    RateLimits::spend(rates.requests.as_deref(), person.map_or(address, Key::Person), "requests")
}

/// Where a request comes from. Every trusted proxy has appended the address that it saw, so the entry of the outermost
/// one is the `hops`-th from the right; what stands left of it anybody could have written.
fn address(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default());
    let entries: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let entry = hops.checked_sub(1).and_then(|behind| entries.iter().rev().nth(behind));
    entry.and_then(|entry| parse(entry)).unwrap_or(peer).to_canonical()
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let plain = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    plain.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn seen(forwarded: &[&'static str], hops: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        address(PEER, &headers, hops).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        assert_eq!(seen(&["6.6.6.6, 1.2.3.4"], 0), "10.0.0.1");
        assert_eq!(seen(&["6.6.6.6, 1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(seen(&["6.6.6.6", "1.2.3.4,10.0.0.2"], 2), "1.2.3.4");
        assert_eq!(seen(&["1.2.3.4:5678"], 1), "1.2.3.4");
        assert_eq!(seen(&["::ffff:1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(seen(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(seen(&["[2001:db8::1]"], 1), "2001:db8::1");
        for garbage in ["", "unknown", "1.2.3.4.5", "_hidden", "999.1.1.1", "1.2.3.4,"] {
            assert_eq!(seen(&[garbage], 1), "10.0.0.1", "{garbage}");
        }
        assert_eq!(seen(&["1.2.3.4"], 2), "10.0.0.1");
        assert_eq!(seen(&[], 1), "10.0.0.1");
    }

    #[test]
    fn one_customer_is_one_network() {
        let network_of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network_of("1.2.3.4"), "1.2.3.4");
    }

    #[test]
    fn whoever_has_everything_again_is_forgotten() {
        let quota = Quota::per_second(NonZeroU32::new(1_000).unwrap());
        let limiter = Arc::new(RateLimiter::keyed(quota));
        let rates =
            RateLimits { requests: Some(limiter.clone()), sign_ups: None, trusted_proxies: 0, limit_loopback: true };
        for number in 0..100_000_u32 {
            let key = Key::Address(IpAddr::V4(number.into()));
            assert!(RateLimits::spend(rates.requests.as_deref(), key, "requests").is_ok());
        }
        std::thread::sleep(Duration::from_millis(20));
        rates.forget_now();
        assert_eq!(limiter.len(), 0);
    }

    #[test]
    fn waiting_is_at_least_a_second() {
        let limiter = RateLimiter::keyed(Quota::per_second(NonZeroU32::new(1).unwrap()));
        let key = Key::Person(Uuid::nil());
        assert!(RateLimits::spend(Some(&limiter), key, "requests").is_ok());
        let response = RateLimits::spend(Some(&limiter), key, "requests").unwrap_err().into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &HeaderValue::from_static("1"))
        );
    }
}
