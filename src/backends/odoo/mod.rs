//! Odoo: contacts, opportunities and the pipeline.

use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}
