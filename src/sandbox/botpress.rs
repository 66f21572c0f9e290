//! A played Botpress Cloud.
