//! How much a deployment needs.

pub mod drivers;
pub mod fit;
pub mod mix;
pub mod observe;
pub mod random;
pub mod units;
