"""From which address a request comes, behind a known number of reverse proxies."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the caller's IP address; for IPv6 the /64 network, since one host commands all of it. "" when unknown.

    Each proxy appends its caller's address to X-Forwarded-For, so with TRUSTED_PROXIES proxies in front the entry of
    that number from the right was written by our own outermost proxy. Everything further left comes from the caller and
    is not trusted.
    """
    text = str(request.META.get("REMOTE_ADDR", ""))
    hops = settings.TRUSTED_PROXIES
    if hops:
        chain = [entry.strip() for entry in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if entry.strip()]
        if len(chain) >= hops:  # a shorter chain came past the proxies: its connection's own address counts
            text = chain[-hops]
    return _normal(text)


def _normal(text: str) -> str:
    if text.startswith("["):  # [2001:db8::1]:1234
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:1234
        text = text.partition(":")[0]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((ip, 64), strict=False))
    return str(ip)
