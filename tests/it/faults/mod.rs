//! What breaks on purpose: nodes that are killed, roads that are cut. What they are for is in the tests that use them.

pub mod link;
pub mod node;
pub mod postgres;
pub mod redis;
mod roads;
