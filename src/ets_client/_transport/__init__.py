"""Bytes to the server and back. It knows nothing of SGLang."""
