"""A run as pages for a browser."""

from .write import write_pages

__all__ = ["write_pages"]
