//! Chatwoot: conversations and the agents who answer them.

use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}
