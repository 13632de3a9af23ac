//! The one integration-test binary: what the server promises, seen from outside.

mod echo;
mod harness;
