"""A model of an SGLang server and of clients that search trees on it."""
