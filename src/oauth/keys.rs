//! The keys that access tokens are signed with: Ed25519, sealed in the database, published and rotated with overlap.
