//! The engine.

pub mod backend;
