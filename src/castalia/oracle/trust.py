"""Whom TLS trusts: the system's authorities, or the bundle that the usual environment variables name."""

import os
import ssl
from pathlib import Path

from castalia.errors import ConfigError

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def tls_context() -> ssl.SSLContext:
    """A verifying context. The first of SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE that is set replaces the system's authorities.

    Raises ConfigError when that file can't be used.
    """
    variable = next((name for name in BUNDLES if os.environ.get(name)), None)
    if variable is None:
        return ssl.create_default_context()
    path = Path(os.environ[variable])
    try:
        return ssl.create_default_context(cafile=None if path.is_dir() else str(path), capath=str(path) if path.is_dir() else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"environment variable {variable} names {str(path)!r}, which is no bundle of certificates: {error}") from error
