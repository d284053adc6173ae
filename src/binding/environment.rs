//! Snapshots of the environment.

use std::collections::HashMap;

use napi_derive::napi;

use super::node_roots::NodeRoots;
use crate::platform::{Environment, variable};

/// One reading of the environment, which calls share until the next reading differs.
#[napi(js_name = "Environment")]
pub struct EnvironmentSnapshot(pub(super) Environment);

#[napi]
impl EnvironmentSnapshot {
    /// Takes the values of the variables to be handed down, in their order.
    #[napi(constructor, catch_unwind)]
    pub fn new(values: Vec<Option<String>>) -> Self {
        let named = variable::ALL.iter().zip(values);
        let set = named.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Self(set.collect::<HashMap<_, _>>().into())
    }

    /// Whether an endpoint that it names can be https, so that the roots of this thread can be needed.
    #[napi(catch_unwind)]
    pub fn can_need_roots(&self) -> bool {
        self.0.can_need_roots()
    }

    /// Sets where the roots of this thread are read once they are needed.
    #[napi(catch_unwind)]
    pub fn set_node_roots(&mut self, roots: &NodeRoots) {
        self.0.set_node_roots(roots.0.clone());
    }
}
