//! The one integration-test binary: what the server promises, seen from outside.

mod architecture;
mod commands;
mod echo;
mod folding;
#[allow(dead_code)] mod harness;
mod handover;
mod one_command;
mod schema;
