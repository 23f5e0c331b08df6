"""TLS to a server whose certificate is checked."""

from __future__ import annotations

import ssl
from functools import cache

__all__ = ["tls_context"]


@cache
def tls_context() -> ssl.SSLContext:
    """The context of all pools, made when first needed: reading the authorities takes 20 ms and more.

    The authorities are the machine's, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, because private clusters
    add theirs there; where a machine has none, as in small containers, Mozilla's.
    """
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        import certifi  # seldom needed

        context = ssl.create_default_context(cafile=certifi.where())
    else:
        context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
