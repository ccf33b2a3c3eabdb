"""By which addresses the machines of a job find each other."""

from __future__ import annotations

import socket

import pytest

from ssdreg.errors import LaunchError
from ssdreg.launching.addresses import (
    interface_of,
    located,
    own_address,
    refuse_taken,
    resolve,
)
from ssdreg.launching.layout import Layout, Place


def test_a_name_is_looked_up_and_a_number_is_taken():
    layout = Layout.of("mxnet", 2, 1, "localhost", 9000)
    there, place = located(layout, Place(1, 2, "127.0.0.2"))
    assert (there.root, place) == ("127.0.0.1", Place(1, 2, "127.0.0.2"))
    # a name, or none, is this machine's to say
    for name in ("localhost", ""):
        _, place = located(layout, Place(0, 1, name))
        assert place.address == own_address("127.0.0.1")


def test_the_scheduler_listens_where_it_says_it_is():
    """Where its name means another address to itself, it listens at all of its addresses."""
    layout = Layout.of("mxnet", 2, 1, "127.0.1.1", 9000)
    told = layout.environment(0, Place(address="10.0.0.1"))
    assert told["DMLC_PS_ROOT_URI"] == told["DMLC_NODE_HOST"] == "10.0.0.1"
    assert told["DMLC_USE_KUBERNETES"] == "1"
    others = layout.environment(1, Place(address="10.0.0.2"))
    assert others["DMLC_PS_ROOT_URI"] == "127.0.1.1"
    assert "DMLC_USE_KUBERNETES" not in others
    # all on one machine: nobody else can reach it
    alone = Layout.of("mxnet", 2, 1, "127.0.0.1", 9000)
    assert "DMLC_USE_KUBERNETES" not in alone.environment(0, Place(address="127.0.0.1"))


def test_an_unknown_name_is_said():
    with pytest.raises(LaunchError, match=r"no address of 'nowhere.invalid', where the members .* "
                                          r"name the machine by its address$"):
        resolve("nowhere.invalid", patience=0)


def test_an_address_of_another_machine_is_said():
    with pytest.raises(LaunchError, match=r"port 29500 of 192.0.2.77, .* first machine by an addr"):
        refuse_taken("192.0.2.77", 29500)


def test_the_interface_of_an_address():
    assert interface_of("127.0.0.1") in {name for _, name in socket.if_nameindex()}
    assert interface_of("192.0.2.77") == ""


def test_a_taken_port_is_said():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"port {port} of 127.0.0.1, .*with --port"):
            refuse_taken("127.0.0.1", port)
    refuse_taken("127.0.0.1", port)
