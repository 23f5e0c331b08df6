"""The command line of ``ets-server``."""

from .main import main

__all__ = ["main"]
