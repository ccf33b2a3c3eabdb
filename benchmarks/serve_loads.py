"""The clients of `benchmarks/serve.py`: wrk, one that asks steadily, and one that attacks."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from attrs import field, frozen
from PIL import Image

#: Bytes changed by chance, as the tests change them.
sys.path.append(str(Path(__file__).parent.parent / "runtime" / "tests"))
from runtime_support.mutations import mutated

#: Connections of the steady client, more than a queue holds.
_CONNECTIONS = 512
#: Seconds between two looks at a server's memory.
_LOOK = 1.0

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local file = io.open("{photo}", "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  io.write(string.format(
    '\\n{{"rate": %.3f, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}}\\n',
    (summary.requests - summary.errors.status) / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


@frozen
class Load:
    """What clients that ask without a pause got: answers a second, and milliseconds.

    `rate` counts answers of status 200, `refused` is how many had another, and `broken` how many
    never came.
    """

    rate: float
    p50: float
    p99: float
    refused: int
    broken: int


def closed_load(url: str, photo: Path, clients: int, seconds: float, folder: Path) -> Load:
    """Ask by wrk: each client asks again as soon as it has its answer."""
    if shutil.which("wrk") is None:
        sys.exit("serve: the clients are wrk's: apt-get install wrk")
    script = folder / "photo.lua"
    script.write_text(_SCRIPT.format(photo=photo), encoding="utf-8")
    done = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "60s", "-s", script, url],
        capture_output=True, text=True, encoding="utf-8", check=True)
    return Load(**json.loads(done.stdout.splitlines()[-1]))


@frozen
class Overload:
    """What a client at a steady rate got: answers by status, and what the server's memory was."""

    statuses: Counter[str] = field(factory=Counter)
    memory: list[int] = field(factory=list)

    def growth(self) -> float:
        """Return the median memory of the last fifth of the time, in that of the second fifth."""
        part = max(1, len(self.memory) // 5)
        return statistics.median(self.memory[-part:]) / statistics.median(
            self.memory[part:2 * part] or self.memory)


def steady_load(url: str, content: bytes, rate: float, seconds: float, process: int) -> Overload:
    """Ask at a rate, whether or not answers come, and look at the memory of the server."""
    return asyncio.run(_steady(url, content, rate, seconds, process))


async def _steady(url: str, content: bytes, rate: float, seconds: float, process: int) -> Overload:
    address = urlsplit(url)
    request = (f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
               f"Content-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
               ).encode() + content
    seen = Overload()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def ask() -> None:
        # those that were not needed for long, and that the server has closed
        while idle and idle[-1][0].at_eof():
            idle.pop()[1].close()
        try:
            reader, writer = idle.pop() if idle else await asyncio.open_connection(
                address.hostname, address.port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            seen.statuses[head.split(b" ", 2)[1].decode()] += 1
            idle.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.statuses[type(error).__name__] += 1

    start = looked = time.monotonic()
    sent = 0
    while (now := time.monotonic()) - start < seconds:
        while sent < (now - start) * rate:
            sent += 1
            if len(tasks) >= _CONNECTIONS:
                seen.statuses["not sent"] += 1
                continue
            task = asyncio.create_task(ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if now - looked >= _LOOK:
            looked = now
            seen.memory.append(resident_bytes(process))
        await asyncio.sleep(0.5 / rate)
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return seen


def resident_bytes(process: int) -> int:
    """Return the memory that a process has at the moment."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


def attack(url: str, photo: Path, count: int) -> Counter[str]:
    """Send so many mutated pictures of all formats, and return the answers by format and status."""
    wholes = {kind: _encoded(photo, kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")}
    chance = random.Random(0)
    kinds = list(wholes)
    made = [(kinds[number % len(kinds)], mutated(wholes[kinds[number % len(kinds)]], chance))
            for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda picture: f"{picture[0]} {_status(url, picture[1])}", made))


def _encoded(photo: Path, kind: str) -> bytes:
    file = io.BytesIO()
    image = Image.open(photo).convert("RGB")
    image.thumbnail((160, 160))
    image.save(file, kind)
    return file.getvalue()


def _status(url: str, content: bytes) -> int:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("POST", address.path, content, {"Content-Type": "application/x-image"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
