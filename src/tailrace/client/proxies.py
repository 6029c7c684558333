"""The proxy that the environment names for an origin: HTTP_PROXY, ALL_PROXY, NO_PROXY."""

from __future__ import annotations

import os
import sys

from tailrace.client.urls import Origin, Url
from tailrace.errors import ConfigurationError


def find_proxy(origin: Origin) -> Url | None:
    """Return the proxy to use, or None where the origin is to be asked itself.

    Raises:
        ConfigurationError: the environment names one that we cannot speak to.
    """
    # macOS and Windows keep proxies elsewhere too. Anywhere else the import, which takes
    # as long as a small download, is saved.
    if sys.platform not in ("darwin", "win32") and not any(
        name.lower().endswith("_proxy") for name in os.environ
    ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(origin.authority):
        return None
    url = Url.parse(proxy if "://" in proxy else f"http://{proxy}")
    if url.origin.scheme != "http":
        raise ConfigurationError(
            f"the proxy {url} cannot be used: only proxies at http:// addresses are spoken to"
        )
    return url
