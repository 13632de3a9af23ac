//! Locks and flags at which the scheduler of a model may go on with another thread. Outside a model they are the usual
//! ones.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{self, Ordering};

use super::schedule;

#[derive(Debug, Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

pub struct MutexGuard<'a, T> {
    /// `None` only while it is being dropped.
    held: Option<parking_lot::MutexGuard<'a, T>>,
    lock: usize,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let lock = std::ptr::from_ref(self) as usize;
        if !schedule::point() {
            return MutexGuard { held: Some(self.0.lock()), lock };
        }
        loop {
            if let Some(held) = self.0.try_lock() {
                return MutexGuard { held: Some(held), lock };
            }
            schedule::wait_for(lock);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_deref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_deref_mut().unwrap()
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        schedule::released(self.lock);
    }
}

#[derive(Debug, Default)]
pub struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    pub fn new(value: bool) -> Self {
        Self(atomic::AtomicBool::new(value))
    }

    pub fn load(&self, order: Ordering) -> bool {
        schedule::point();
        self.0.load(order)
    }

    pub fn store(&self, value: bool, order: Ordering) {
        schedule::point();
        self.0.store(value, order);
    }

    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        schedule::point();
        self.0.swap(value, order)
    }
}

#[derive(Debug, Default)]
pub struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub fn load(&self, order: Ordering) -> u64 {
        schedule::point();
        self.0.load(order)
    }

    pub fn store(&self, value: u64, order: Ordering) {
        schedule::point();
        self.0.store(value, order);
    }

    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        schedule::point();
        self.0.swap(value, order)
    }

    pub fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        schedule::point();
        self.0.fetch_or(value, order)
    }
}
