//! The engine, for those who are made before it.

use std::sync::{Arc, OnceLock, Weak};

use super::hub::Hub;

/// Leads to the engine once there is one, without keeping it alive: the engine holds those who need it.
#[derive(Debug, Clone, Default)]
pub struct HubLink(Arc<OnceLock<Weak<Hub>>>);

impl HubLink {
    /// There is an engine now.
    pub fn set(&self, hub: &Arc<Hub>) {
        let _ = self.0.set(Arc::downgrade(hub));
    }

    /// The engine; `None` before it starts and after it has stopped.
    pub fn get(&self) -> Option<Arc<Hub>> {
        self.0.get().and_then(Weak::upgrade)
    }
}
