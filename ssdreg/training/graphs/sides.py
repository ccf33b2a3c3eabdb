"""A plain convolution along one axis of a map, and zeros added to its weights."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from ssdreg.graph.nodes import VARIABLE, Entry, Net
from ssdreg.training.graphs.editing import Edit
from ssdreg.training.graphs.shapes import Shape, Shaped

#: The axes of a map, (B, C, H, W), and of weights, (O, I, KH, KW).
DOWN, ACROSS = 2, 3


@frozen
class Side:
    """A convolution along one axis: output cell `o` reads cells from ``o * stride - before`` on.

    `length` are the cells of the map, `cells` those that are read of the output, `padded` those
    that the convolution itself adds in front, and behind.
    """

    length: int
    cells: int
    kernel: int
    stride: int
    before: int
    padded: int

    @property
    def after(self) -> int:
        """How many cells behind the map are read."""
        return (self.cells - 1) * self.stride + self.kernel - self.length - self.before

    @property
    def is_whole(self) -> bool:
        """Whether the convolution gives exactly the cells that are read."""
        given = (self.length + 2 * self.padded - self.kernel) // self.stride + 1
        return self.padded == self.before and self.cells == given

    def zeros(self, suits: Callable[[Side], bool]) -> Zeros | None:
        """Return the fewest zeros, in front first, with which the side suits; None for none."""
        for front in range(max(0, -self.before), 2 * self.stride + 2):
            for back in range(self.stride + 1):
                before = self.before + front
                if suits(evolve(self, kernel=front + self.kernel + back, before=before,
                                padded=before)):
                    return Zeros(front, back, before)
        return None


@frozen
class Zeros:
    """How many zeros go before and behind the weights along an axis, and the padding to match."""

    front: int
    back: int
    padding: int


@frozen
class Cropped:
    """A convolution with what is read of it: `output`, itself or what cuts it off in front."""

    output: int
    down: Side
    across: Side


def is_plain(shaped: Shaped, index: int) -> bool:
    """Tell whether a convolution is of a map, has no gaps, and weights that are a parameter."""
    node = shaped.net.nodes[index]
    return (len(shaped.shapes[index]) == 4 and set(node.attrs.extent("dilate", 2, 1)) == {1}
            and shaped.net.op(node.sources[1]) == VARIABLE)


def cropped(shaped: Shaped, index: int) -> Cropped:
    """Follow a convolution to the cut of its first rows and columns, where only that reads it."""
    net = shaped.net
    readers, output, cut = net.readers()[index], index, (0, 0)
    if len(readers) == 1 and index not in {head for head, _ in net.heads}:
        cut = _cut_in_front(net, readers[0][0])
        output = readers[0][0] if any(cut) else index
    attrs, length = net.attrs(index), shaped.read_by(index)

    def side(axis: int) -> Side:
        place = axis - DOWN
        stride, padded = attrs.extent("stride", 2, 1)[place], attrs.extent("pad", 2, 0)[place]
        return Side(length[axis], shaped.shapes[output][axis], attrs.extent("kernel", 2, 1)[place],
                    stride, padded - cut[place] * stride, padded)
    return Cropped(output, side(DOWN), side(ACROSS))


def _cut_in_front(net: Net, index: int) -> tuple[int, int]:
    """Return how many rows and columns a node cuts off in front of a map, if it does only that."""
    attrs = net.attrs(index)
    begin = attrs.sequence("begin")
    if (net.op(index) != "slice" or len(begin) != 4 or begin[0] or begin[1]
            or any(end is not None for end in attrs.sequence("end"))
            or any(step not in (None, 1) for step in attrs.sequence("step"))):
        return 0, 0
    rows, columns = begin[2] or 0, begin[3] or 0
    return (rows, columns) if min(rows, columns) >= 0 else (0, 0)


def with_zeros(edit: Edit, name: str, data: Entry, shape: Shape, axis: int, front: int, back: int
               ) -> tuple[Entry, Shape]:
    """Add zeros before and behind an axis; return the output and its shape."""
    def zeros(count: int, where: str) -> list[Entry]:
        return [edit.add("_zeros", f"{name}_{where}", (), dtype="float32",
                         shape=(*shape[:axis], count, *shape[axis + 1:]))] if count else []
    together = [*zeros(front, "front"), data, *zeros(back, "back")]
    if len(together) > 1:
        data = edit.add("Concat", f"{name}_filled", together, dim=axis, num_args=len(together))
    return data, (*shape[:axis], front + shape[axis] + back, *shape[axis + 1:])
