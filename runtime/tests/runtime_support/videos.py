"""Videos made by PyAV, whole and damaged, for the tests."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

SIZE = (96, 64)
#: Of a video's times, in seconds.
TICK = Fraction(1, 12800)


def colors(count):
    """Give pictures (h, w, 3) whose first quarter is red, the darker the later it comes."""
    noise = np.random.default_rng(5).integers(0, 60, (SIZE[1], SIZE[0] + count, 3), np.uint8)
    for index in range(count):
        picture = noise[:, index:index + SIZE[0]].copy()
        picture[:SIZE[1] // 2, :SIZE[0] // 2] = (250 - 8 * index, 0, 0)
        yield picture


def write_video(path, pictures, codec="libx264", times=None, **options):
    """Write pictures, at 25 a second unless their `times` are given in seconds."""
    import av
    container = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    with av.open(str(path), "w", options=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options
        stream.codec_context.time_base = TICK
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            time = Fraction(index, 25) if times is None else times[index]
            frame.pts, frame.time_base = int(time / TICK), TICK
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def packets(path):
    """Give place, length and time of each packet in the file, in the file's order."""
    import av
    with av.open(str(path)) as file:
        return [(packet.pos, packet.size, packet.pts * packet.time_base)
                for packet in file.demux(video=0) if packet.size]


def damage(path, which):
    """Overwrite the middle of some packets with noise; return the times of their frames."""
    content = bytearray(path.read_bytes())
    found = packets(path)
    noise = np.random.default_rng(1)
    for index in which:
        place, length, _ = found[index]
        middle = slice(place + length // 4, place + length - length // 4)
        content[middle] = noise.integers(0, 256, middle.stop - middle.start, np.uint8).tobytes()
    path.write_bytes(content)
    return [found[index][2] for index in which]
