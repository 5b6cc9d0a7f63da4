//! The OpenAPI document, served as it is here.

use serde_json::{Value, json};

use crate::backend::Backend;

/// The document.
pub(crate) fn document(backend: &dyn Backend) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "k485", "version": "1" },
        "paths": {},
        "components": { "schemas": { "Hand": backend.hand_schema() } },
    })
}
