"""By which addresses the machines of a job reach each other.

ps-lite, and gloo, which PyTorch's processes on processors talk by, listen at the address that they
tell the others. It has to mean this machine to the others too, and to be a number, since ps-lite
listens at no name. So names are looked up, and each machine looks up its own.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import struct
import time
from contextlib import suppress

from attrs import evolve

from ssdreg.errors import LaunchError
from ssdreg.launching.hosts import LOCAL
from ssdreg.launching.layout import Layout, Place

#: Of nobody's network (RFC 5737): the way there is the way to all that is not near.
FAR = "192.0.2.1"
#: Of Linux: asks for the address of a network interface.
SIOCGIFADDR = 0x8915
#: Seconds for a name to become known, as a pod's is when the pod is there; and between two looks.
PATIENCE, LOOK = 120.0, 1.0


def located(layout: Layout, place: Place) -> tuple[Layout, Place]:
    """Return a job and a member's place in it with numbers for addresses.

    Raises LaunchError where the name of the first machine is not known.
    """
    root = resolve(layout.root)
    address = place.address if _is_number(place.address) else own_address(root)
    return evolve(layout, root=root), evolve(place, address=address)


def resolve(name: str, patience: float = PATIENCE) -> str:
    """Return the IPv4 address of a machine; wait for so many seconds until its name is known."""
    until = time.monotonic() + patience
    while True:
        try:
            return socket.gethostbyname(name)
        except OSError as error:
            if time.monotonic() >= until:
                raise LaunchError(f"no address of {name!r}, where the members of the job find each "
                                  f"other, is known on {socket.gethostname()}: {error.strerror}; "
                                  f"make the name known there, or name the machine by its address"
                                  ) from error
        time.sleep(LOOK)


def own_address(root: str) -> str:
    """Return the address of this machine by which it reaches the first one, at `root`.

    A machine may call itself by an address that means another machine elsewhere (127.0.1.1 in
    Debian): then it is the one by which this machine reaches what is far.
    """
    for other in (root, FAR):
        # nothing is sent: the system says which way it would go
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((other, 9))
            address = str(way.getsockname()[0])
            if not ipaddress.ip_address(address).is_loopback:
                return address
    return LOCAL


def interface_of(address: str) -> str:
    """Return the network interface that has an address; empty where that is not known."""
    for _, name in socket.if_nameindex():
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()))
            # a `struct ifreq`: 16 bytes of name, then family, port and address
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""


def refuse_taken(address: str, port: int) -> None:
    """Raise LaunchError where nothing can listen at a port: ps-lite's own message names none."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
        except OSError as error:
            advice = ("name the first machine by an address of its own"
                      if error.errno == errno.EADDRNOTAVAIL else "choose another with --port")
            raise LaunchError(f"port {port} of {address}, where the members of the job find each "
                              f"other, cannot be listened at: {error.strerror}; {advice}"
                              ) from error


def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
