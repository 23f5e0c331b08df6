"""The client for LLM tree search on SGLang."""
