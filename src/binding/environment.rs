//! Snapshots of the environment.

use std::collections::HashMap;

use napi_derive::napi;

use super::node_roots::NodeRoots;
use crate::platform::{Environment, variable};

/// A snapshot of the environment, which calls share until a later snapshot differs.
#[napi(js_name = "Environment")]
pub struct EnvironmentSnapshot(pub(super) Environment);

#[napi]
impl EnvironmentSnapshot {
    /// Takes the values of `environmentVariables()`, in the same order.
    #[napi(constructor, catch_unwind)]
    pub fn new(values: Vec<Option<String>>) -> Self {
        let variables = variable::ALL.iter().zip(values);
        let defined = variables.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Self(defined.collect::<HashMap<_, _>>().into())
    }

    /// Returns whether an endpoint of this environment can be https, so that the root certificates may be needed.
    #[napi(catch_unwind)]
    pub fn can_need_roots(&self) -> bool {
        self.0.can_need_roots()
    }

    /// Sets the reader of this thread's root certificates.
    #[napi(catch_unwind)]
    pub fn set_node_roots(&mut self, roots: &NodeRoots) {
        self.0.set_node_roots(roots.0.clone());
    }
}
