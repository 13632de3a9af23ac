//! P1 and P2 while PostgreSQL, the road to it, or nodes break: what was acknowledged is there, once; what is unknown can
//! be asked for by its operation id; nobody waits for ever.

mod cancelled;
mod commits;
mod crash;
mod doors;
mod epochs;
mod place;
mod refusals;
mod silence;
