"""Images and bytes a second of MXNet's workers over loopback, or over links of a given speed.

    python benchmarks/scaling.py [--workers 2,4] [--servers 1] [--backbone resnet18] [--side 64]
        [--batch 8] [--steps 16] [--rate 1gbit [--drop 10]]
        [--wire float16]

Each row is a real training of drawn pictures, with `--batch` images for each worker and one thread
each; the first is a process without servers. Figures are those of the second epoch, validation left
out. Bytes are the kernel's counts of what was sent, of all processes together and on the busiest
link. With `--rate` each worker is in a network namespace of its own, which stands for a machine,
behind a link that is limited in both directions; servers are given out in turns. That needs root,
and `ip` and `tc` of Debian's iproute2. With `--drop` the last machine's link is down for so many
seconds in the second epoch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

from attrs import evolve, field, frozen

from ssdreg.data.synthetic import write_shapes
from ssdreg.errors import DataError
from ssdreg.launching.hosts import LOCAL, Host, Member, local_members, placed
from ssdreg.launching.launch import free_port
from ssdreg.launching.layout import Layout
from ssdreg.launching.supervising import supervise
from ssdreg.launching.telling import MODULE, words
from ssdreg.runs.log import Epoch, read_log

BRIDGE, PREFIX, NETWORK = "ssdregbr", "ssdregns", "10.77.0"
MB = 1e6


@frozen
class Machine:
    """A network namespace, and the end of its link that is outside of it."""

    name: str
    link: str
    address: str


@frozen
class Row:
    """What a training came to: its second epoch, and the bytes sent on each link in it."""

    epoch: Epoch
    before: Epoch
    sent: tuple[int, ...]

    @property
    def steps(self) -> int:
        """The steps of the epoch."""
        return self.epoch.steps - self.before.steps


@frozen
class Counting:
    """Reads bytes sent when the first epoch and the second one are over."""

    out: Path
    interfaces: tuple[str, ...]
    counts: list[tuple[int, ...]] = field(factory=list)

    def watch(self) -> None:
        """Watch a run's log until the second epoch is in it."""
        while len(self.counts) < 2:
            time.sleep(.02)
            if len(epochs(self.out)) > len(self.counts):
                self.counts.append(tuple(map(sent, self.interfaces)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", default="2,4")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8, help="of each worker")
    parser.add_argument("--steps", type=int, default=16, help="of an epoch")
    parser.add_argument("--wire", default="float32", help="what gradients are sent in")
    parser.add_argument("--rate", help="of each link, as tc takes it")
    parser.add_argument("--drop", type=float, default=0, help="seconds without the last link")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| workers | images/s | s/step | MB/step, all | MB/step, busiest link |\n"
          "| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, *map(int, options.workers.split(","))):
            row = measured(Path(folder), count, options)
            megabytes = [number / row.steps / MB for number in row.sent]
            seconds = row.epoch.seconds - row.before.seconds
            print(f"| {count or 'one process'} | {row.epoch.images_per_second:.1f} | "
                  f"{seconds / row.steps:.3f} | {sum(megabytes):.2f} | {max(megabytes):.2f} |",
                  flush=True)


def measured(folder: Path, count: int, options: argparse.Namespace) -> Row:
    """Train with so many workers, 0 for a process by itself."""
    workers = max(1, count)
    data, out = folder / f"shapes-{workers}", folder / f"run-{count}"
    if not data.is_dir():
        write_shapes(data, options.batch * workers * options.steps, 2,
                     (options.side, options.side))
    command = ("train", "--engine", "mxnet", "--backbone", options.backbone, "--no-pretrained",
               "--data-shape", options.side, "--tap-strides", "8,16", "--precision", "float32",
               "--data", data, "--out", out, "--batch-size", options.batch * workers, "--epochs",
               3, "--validate-every", 3, "--freeze-stages", 0, "--wire", options.wire)
    training = tuple(map(str, command))
    with ExitStack() as stack:
        if not count:
            interfaces: Sequence[str] = ("lo",)
            members = [Member("the process", "worker", (sys.executable, "-m", "ssdreg",
                                                        *training))]
        elif options.rate:
            machines = stack.enter_context(linked(workers, options.rate))
            interfaces = [machine.link for machine in machines]
            members = list(in_namespaces(machines, options.servers, training))
        else:
            interfaces = ("lo",)
            layout = Layout.of("mxnet", workers, options.servers, LOCAL, free_port())
            members = list(local_members(layout, training))
        # its lines would stand among the table's
        shown = next(place for place, member in enumerate(members) if member.role == "worker")
        members[shown] = evolve(members[shown], command=(
            "sh", "-c", 'exec "$@" > /dev/null', "sh", *members[shown].command))
        counting = Counting(out, tuple(interfaces))
        threads = [Thread(target=counting.watch, daemon=True)]
        if options.drop and options.rate and count > 1:
            threads.append(Thread(target=drop, args=(out, machines[-1], options.drop),
                                  daemon=True))
        for thread in threads:
            thread.start()
        supervise(members)
        for thread in threads:
            thread.join()
    first, second = counting.counts
    log = epochs(out)
    return Row(log[1], log[0], tuple(after - before for before, after in zip(first, second)))


def epochs(out: Path) -> Sequence[Epoch]:
    """Return the epochs of a run's log, none before it is there."""
    try:
        return read_log(out / "log.csv")
    except (DataError, FileNotFoundError):
        return ()


def sent(interface: str) -> int:
    """Return the bytes that went over a link, both ways; over loopback each byte once."""
    counts = Path("/sys/class/net") / interface / "statistics"
    ways = ("tx_bytes",) if interface == "lo" else ("tx_bytes", "rx_bytes")
    return sum(int((counts / way).read_text(encoding="ascii")) for way in ways)


def in_namespaces(machines: Sequence[Machine], servers: int, training: Sequence[str]
                  ) -> Iterator[Member]:
    """Yield the members of a job, a worker on each machine."""
    layout = Layout.of("mxnet", len(machines), servers, machines[0].address, 29500)
    names = {machine.address: machine.name for machine in machines}
    hosts = [Host(machine.address) for machine in machines]
    for member, (host, place) in enumerate(placed(layout, hosts)):
        yield Member(layout.title(member), layout.role(member), (
            "ip", "netns", "exec", names[host.name], sys.executable, "-m", MODULE,
            *words(layout, member, place), "--", *training))


@contextmanager
def linked(count: int, rate: str) -> Iterator[tuple[Machine, ...]]:
    """Yield namespaces that are linked through a bridge, at this rate in both directions."""
    machines = tuple(Machine(f"{PREFIX}{number}", f"{PREFIX}{number}", f"{NETWORK}.{number + 1}")
                     for number in range(count))
    limit = ("tbf", "rate", rate, "burst", "128kb", "latency", "100ms")
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for machine in machines:
            ip("netns", "add", machine.name)
            ip("link", "add", machine.link, "type", "veth", "peer", "name", "eth0",
               "netns", machine.name)
            ip("link", "set", machine.link, "master", BRIDGE, "up")
            ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", machine.name, "link", "set", device, "up")
            run("tc", "qdisc", "add", "dev", machine.link, "root", *limit)
            run("tc", "-n", machine.name, "qdisc", "add", "dev", "eth0", "root", *limit)
        yield machines
    finally:
        for machine in machines:
            subprocess.run(["ip", "netns", "del", machine.name], check=False)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False)


def drop(out: Path, machine: Machine, seconds: float) -> None:
    """Take a machine's link away for a while, when the first epoch is over."""
    while not epochs(out):
        time.sleep(.02)
    ip("link", "set", machine.link, "down")
    time.sleep(seconds)
    ip("link", "set", machine.link, "up")


def ip(*arguments: str) -> None:
    run("ip", *arguments)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
