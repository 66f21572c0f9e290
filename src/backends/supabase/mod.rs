//! Supabase: tables and their schema, over `PostgREST`.

use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}
