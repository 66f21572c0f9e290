//! A played Metabase.
