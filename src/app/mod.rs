//! The house put together.

pub mod server;
