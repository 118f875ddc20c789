"""Whose an address is."""

from ipaddress import AddressValueError, IPv6Address, IPv6Network

_OF_ONE_HOLDER = 64
"""Bits: whoever has an IPv6 address has all that begin with these (RFC 6177)."""


def network_of(address: str) -> str:
    """What calls from an address are counted under: IPv4 as it is, of IPv6 the network. Anything else is left."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, _OF_ONE_HOLDER), strict=False))
