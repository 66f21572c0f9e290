//! The routes of sign-in: what clients ask as OAuth has it, and the pages that a member sees.

mod metadata;

use std::sync::Arc;

use axum::Router;

pub use self::metadata::{resource_metadata, resource_of};
use crate::state::State;

/// The routes; those of the authorization server are there only while it is on.
pub fn routes(state: &Arc<State>) -> Router<Arc<State>> {
    metadata::routes(state.config.sign_in)
}
