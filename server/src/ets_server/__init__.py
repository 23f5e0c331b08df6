"""``ets-server``: start, watch and stop SGLang servers for ets-client."""

__version__ = "0.1.0"
