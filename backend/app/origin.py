"""Origins as browsers write them: scheme, host and port, each in one spelling only.

Whatever people configure is compared with what browsers send and with what the sign-in's tokens
say, and both write `https://todo.example` where somebody may have written `HTTPS://Todo.example:443`.
"""

import ipaddress
import re

DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,9}))?"
)


def normal(text: str) -> str:
    """The origin in that spelling. Raises ValueError for what is none, or none in ASCII."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError("no origin")
    scheme, host = found["scheme"], _host(found["host"])
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if port > 65535:
        raise ValueError("no port")
    return f"{scheme}://{host}" if port == DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def _host(host: str) -> str:
    if host.startswith("["):
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    # A last part that begins with a digit makes browsers read an address in all of it.
    if host.rstrip(".").rpartition(".")[2][:1].isdigit():
        return str(ipaddress.IPv4Address(host))
    return host
