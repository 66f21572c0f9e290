//! Chatwoot.
