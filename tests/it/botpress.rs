//! Botpress.
