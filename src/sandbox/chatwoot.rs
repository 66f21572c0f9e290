//! A played Chatwoot.
