"""Where a webhook may lead: which addresses are outside, and which parts of the inside an installation allows."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from kernel.errors import invalid_field

Address = IPv4Address | IPv6Address
_DEFAULT_PORTS = {"https": 443, "http": 80}
# What RFC 3986 allows and no more: what does not fit is refused, so no two readers can take it for two addresses.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?(?P<query>[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*))?"
)
# Special addresses by the IANA registries, and one that a cloud answers on although it looks public.
_INSIDE_4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
        " 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24"
        " 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
    ).split()
)
# Outside is what is globally unicast, without what wraps an IPv4 address (Teredo, 6to4) and what is for documents.
_GLOBAL_6 = IPv6Network("2000::/3")
_INSIDE_6 = tuple(IPv6Network(one) for one in "2001::/23 2001:db8::/32 2002::/16 3fff::/20 2620:4f:8000::/48".split())


class Outside(NamedTuple):
    """What an installation allows beyond https to port 443 of public addresses."""

    ports: frozenset[int] = frozenset({443})
    http_hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


class Destination(NamedTuple):
    """Where a URL leads. host: in small letters, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int


def outside_of(*, ports: str, http_hosts: str, networks: str) -> Outside:
    """From settings, each separated by commas. ValueError for what is neither a port nor a network."""
    return Outside(
        frozenset(int(one) for one in _words(ports)),
        frozenset(one.lower() for one in _words(http_hosts)),
        tuple(ip_network(one) for one in _words(networks)),
    )


def _words(text: str) -> Iterable[str]:
    return (one.strip() for one in text.split(",") if one.strip())


def destination(url: str, outside: Outside, field: str = "url") -> Destination:
    """Where the URL leads. Invalid with URL_FORMAT, URL_SCHEME, URL_PORT or URL_ADDRESS."""
    found = _URL.fullmatch(url)
    if found is None:
        raise invalid_field(
            field, "not of the form https://host/path; no user, no password, no fragment, only ASCII", "URL_FORMAT"
        )
    host = found["host"].lower().strip("[]")
    scheme = found["scheme"]
    if scheme != "https" and host not in outside.http_hosts:
        raise invalid_field(field, "only https is allowed; MODELOG_WEBHOOK_HTTP_HOSTS names exceptions", "URL_SCHEME")
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    if port not in outside.ports:
        raise invalid_field(field, f"port {port} is not among those of MODELOG_WEBHOOK_PORTS", "URL_PORT")
    if (literal := _literal(found["host"])) is not None and is_inside(literal, outside):
        raise invalid_field(field, f"{host} is no public address", "URL_ADDRESS")
    return Destination(scheme, host, port)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        if host.startswith("["):
            raise invalid_field("url", f"{host} is no IPv6 address", "URL_FORMAT") from None
        return None


def is_inside(address: Address, outside: Outside) -> bool:
    """Whether nothing may be sent there: loopback, private, link-local, metadata of clouds, mapped and the like."""
    if any(address in network for network in outside.networks):
        return False
    if isinstance(address, IPv4Address):
        return any(address in network for network in _INSIDE_4)
    return bool(address.scope_id) or address not in _GLOBAL_6 or any(address in network for network in _INSIDE_6)
