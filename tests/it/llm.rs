//! Llm.
