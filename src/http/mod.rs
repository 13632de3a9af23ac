//! How a request is read and an answer is written, whatever it is about.
//!
//! - [`Caller`] says who asks, [`Body`], [`Path`] and [`Query`] read what they send.
//! - [`door`](mod@door) runs the commands of the protocol, for REST and for `rpc`.
//! - [`Paging`] and [`Cursor`](cursor) cut lists into pages.
//! - [`RateLimits`] hold off whoever asks too often.
//! - [`shield`] puts the headers, the limits and the last resorts around all routes.

mod body;
mod caller;
pub mod cursor;
pub mod door;
mod limits;
mod origins;
mod params;
mod shield;
mod state;

pub use body::{BODY_BYTES_MAX, Body, read_bytes};
pub use caller::{Address, Caller};
pub use cursor::Paging;
pub use limits::{RateLimits, hold_off};
pub use origins::{AllowedOrigins, OriginVerdict};
pub use params::{Path, Query};
pub use shield::shield;
pub use state::AppState;
