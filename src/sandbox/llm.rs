//! Played language models: Messages of Anthropic and chat completions of `OpenAI`.
