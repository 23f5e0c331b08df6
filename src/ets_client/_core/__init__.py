"""Decisions, without I/O: no await, no clock, no randomness, no HTTP. All of that is passed in."""
