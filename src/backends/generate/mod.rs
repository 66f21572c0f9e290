//! Code generation: workflows, skills and clients.

use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}
