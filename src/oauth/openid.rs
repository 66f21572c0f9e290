//! Signing in by the operator's OpenID provider.
