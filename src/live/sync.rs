//! Locks and flags that threads share around a subscription. In production they are what they are called; in the engine's
//! tests a model checker decides at each of them who goes next.

#[cfg(not(test))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64};

#[cfg(not(test))]
pub(super) use parking_lot::Mutex;

#[cfg(test)]
pub(super) use super::tests::model::sync::{AtomicBool, AtomicU64, Mutex};
