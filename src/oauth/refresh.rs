//! Refresh tokens: each is used once, and the one after it is made from it.
