"""An event loop in a thread of its own, and calls that other threads hand to it."""
