//! Botpress Cloud: bots and what they talk about.

use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}
