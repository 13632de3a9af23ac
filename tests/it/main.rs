//! The one integration-test binary: what the server promises, seen from outside.

mod architecture;
mod echo;
mod folding;
#[allow(dead_code)] mod harness;
mod one_command;
mod schema;
mod sdk;
