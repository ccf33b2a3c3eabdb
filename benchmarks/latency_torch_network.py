"""A symbol of MXNet stated in PyTorch: its JSON read, every operator done by PyTorch's own.

Needs PyTorch and NumPy alone. It says itself whether it states the same network: see `check` in
latency_torch.py.
"""

from __future__ import annotations

import ast
import json

import torch
from torch.nn import functional

OFFSET = 0.5  # of an anchor's middle in its cell


class Network(torch.nn.Module):
    """Images (B, H, W, 3) uint8 to probabilities (B, C + 1, N), offsets (B, N * 4), anchors.

    Raises ValueError, a sentence, for an operator that has no statement here.
    """

    def __init__(self, symbol: str, params, mean, std) -> None:
        super().__init__()
        parsed = json.loads(symbol)
        nodes = parsed["nodes"]
        last = nodes[parsed["heads"][0][0]]
        if last["op"] != "_contrib_MultiBoxDetection":
            raise ValueError(f"the symbol ends in {last['op']}, not in MultiBoxDetection")
        self.outputs = [reference[0] for reference in last["inputs"]]
        self.rules = settings(last)
        self.steps = []
        self.data = None
        wanted = upstream(nodes, self.outputs)
        for index in sorted(wanted):
            node = nodes[index]
            if node["op"] == "null" and node["name"] == "data":
                self.data = index
            elif node["op"] == "null":
                self.register_buffer(f"value{index}", torch.from_numpy(params[node["name"]]))
            elif node["op"] not in OPERATORS:
                raise ValueError(f"{node['op']} of {node['name']!r} has no statement in PyTorch "
                                 f"here")
            else:
                self.steps.append((index, OPERATORS[node["op"]],
                                   [reference[0] for reference in node["inputs"]], settings(node)))
        self.constants = [index for index in wanted if nodes[index]["op"] == "null"
                          and index != self.data]
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).reshape(1, 3, 1, 1))

    def forward(self, images):
        """Predict."""
        pixels = images.permute(0, 3, 1, 2)  # which is channels last, as PyTorch likes it best
        values = {index: getattr(self, f"value{index}") for index in self.constants}
        values[self.data] = (pixels.float() - self.mean) / self.std
        for index, operator, inputs, attrs in self.steps:
            values[index] = operator(attrs, *(values[each] for each in inputs))
        return tuple(values[index] for index in self.outputs)


def settings(node):
    """Read an operator's settings, which JSON has as text."""
    found = {}
    for key, value in node.get("attrs", {}).items():
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found


def upstream(nodes, ends):
    """Return the indices of nodes and of all that they are computed from."""
    found, waiting = set(), list(ends)
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += [reference[0] for reference in nodes[index]["inputs"]]
    return found


def convolution(attrs, data, weight, bias=None):
    """Convolve."""
    return functional.conv2d(data, weight, bias, attrs.get("stride", 1) or 1,
                             attrs.get("pad", 0) or 0, attrs.get("dilate", 1) or 1,
                             attrs.get("num_group", 1))


def batch_norm(attrs, data, gamma, beta, mean, variance):
    """Normalise by running moments; MXNet takes a fixed gamma for 1, whatever it holds."""
    scale = torch.ones_like(gamma) if attrs.get("fix_gamma", True) else gamma
    return functional.batch_norm(data, mean, variance, scale, beta, eps=attrs.get("eps", 1e-3))


def activation(attrs, data):
    """Apply a function by its name."""
    return {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
            "softrelu": functional.softplus, "softsign": functional.softsign
            }[attrs["act_type"]](data)


def pooling(attrs, data):
    """Pool; an average counts its padding unless told otherwise."""
    if attrs.get("global_pool", False):
        reduce = torch.amax if attrs.get("pool_type", "max") == "max" else torch.mean
        return reduce(data, (2, 3), keepdim=True)
    kernel, stride, pad = attrs["kernel"], attrs.get("stride", 1), attrs.get("pad", 0)
    full = attrs.get("pooling_convention", "valid") == "full"
    if attrs.get("pool_type", "max") == "max":
        return functional.max_pool2d(data, kernel, stride, pad, ceil_mode=full)
    return functional.avg_pool2d(data, kernel, stride, pad, ceil_mode=full,
                                 count_include_pad=attrs.get("count_include_pad", True))


def reshape(attrs, data):
    """Reshape, where 0 keeps a side and -1 takes what is left."""
    shape = [data.shape[axis] if side == 0 else side for axis, side in enumerate(attrs["shape"])]
    return data.reshape(shape)


def l2_normalization(attrs, data):
    """Divide each cell's features by their length."""
    return data / torch.sqrt((data * data).sum(1, keepdim=True) + attrs.get("eps", 1e-10))


def hard_sigmoid(attrs, data):
    """Clip a line."""
    return torch.clamp(data * attrs.get("alpha", 0.2) + attrs.get("beta", 0.5), 0, 1)


def mean(attrs, data):
    """Average over axes."""
    return data.mean(attrs["axis"], keepdim=bool(attrs.get("keepdims", False)))


def crop(attrs, data):
    """Cut out, by begin and end of each axis."""
    steps = attrs.get("step") or ()
    for axis, (begin, end) in enumerate(zip(attrs["begin"], attrs["end"])):
        step = (steps[axis] if axis < len(steps) else None) or 1
        data = data.narrow(axis, *_span(data.shape[axis], begin, end))[
            (slice(None),) * axis + (slice(None, None, step),)]
    return data


def _span(size, begin, end):
    first, last, _ = slice(begin, end).indices(size)
    return first, last - first


def prior(attrs, data):
    """Make anchors (1, h * w * A, 4), corners as shares of the image."""
    height, width = data.shape[2:]
    down, across = (step if step > 0 else 1 / side
                    for step, side in zip(attrs.get("steps", (-1, -1)), (height, width)))
    sizes, ratios = attrs["sizes"], attrs["ratios"]
    # all sizes with the first ratio, then the first size with the other ratios
    kinds = [(size, ratios[0]) for size in sizes] + [(sizes[0], each) for each in ratios[1:]]
    reach = torch.tensor([(size * height / width * ratio ** 0.5 / 2, size / ratio ** 0.5 / 2)
                          for size, ratio in kinds])
    y = (torch.arange(height) + OFFSET) * down
    x = (torch.arange(width) + OFFSET) * across
    middle = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 1, 2)
    return torch.cat([middle - reach, middle + reach], -1).reshape(1, -1, 4)


#: (settings, inputs...) to the output, by MXNet's names.
OPERATORS = {
    "Convolution": convolution, "BatchNorm": batch_norm, "Activation": activation,
    "Pooling": pooling, "Reshape": reshape, "L2Normalization": l2_normalization,
    "hard_sigmoid": hard_sigmoid, "mean": mean, "slice": crop, "_contrib_MultiBoxPrior": prior,
    "Flatten": lambda attrs, data: data.flatten(1),
    "Concat": lambda attrs, *parts: torch.cat(parts, attrs.get("dim", 1)),
    "transpose": lambda attrs, data: data.permute(attrs["axes"]),
    "softmax": lambda attrs, data: data.softmax(attrs.get("axis", -1)),
    "clip": lambda attrs, data: data.clamp(attrs["a_min"], attrs["a_max"]),
    "Dropout": lambda attrs, data: data, "identity": lambda attrs, data: data,
    "_copy": lambda attrs, data: data,
    **dict.fromkeys(("elemwise_add", "_plus", "_Plus", "broadcast_add", "broadcast_plus"),
                    lambda attrs, one, other: one + other),
    **dict.fromkeys(("elemwise_mul", "_mul", "broadcast_mul"),
                    lambda attrs, one, other: one * other),
}


def detect(rules, probabilities, offsets, anchors):
    """Decode and suppress as MultiBoxDetection does: per image rows (K, 6), best first."""
    left_top, right_bottom = anchors[0].split(2, -1)
    middle, size = (left_top + right_bottom) / 2, right_bottom - left_top
    x, y, width, height = rules.get("variances", (0.1, 0.1, 0.2, 0.2))
    best, labels = probabilities[:, 1:].max(1)
    found = []
    for score, label, offset in zip(best, labels, offsets.reshape(len(offsets), -1, 4)):
        enough = (score >= rules.get("threshold", 0.01)).nonzero()[:, 0]
        order = score[enough].argsort(descending=True, stable=True)
        topk = rules.get("nms_topk", -1)
        chosen = enough[order[:topk] if topk > 0 else order]
        shift, growth = offset[chosen].split(2, -1)
        center = shift * torch.tensor([x, y]) * size[chosen] + middle[chosen]
        reach = torch.exp(growth * torch.tensor([width, height])) * size[chosen] / 2
        boxes = torch.cat([center - reach, center + reach], -1)
        if rules.get("clip", True):
            boxes = boxes.clamp(0, 1)
        kept = suppress(boxes, label[chosen], rules)
        found.append(torch.cat([label[chosen, None].float(), score[chosen, None], boxes], 1)[kept])
    return found


def suppress(boxes, labels, rules):
    """Return the indices of boxes that overlap no better one too much."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)
    common = (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
              - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])).clamp(min=0).prod(-1)
    union = area[:, None] + area[None] - common
    over = torch.where(union > 0, common / union, 0) >= rules.get("nms_threshold", 0.5)
    if not rules.get("force_suppress", False):
        over &= labels[:, None] == labels[None]
    over, alive = over.numpy(), [True] * len(boxes)
    kept = []
    for index, row in enumerate(over):
        if alive[index]:
            kept.append(index)
            for other in row[index + 1:].nonzero()[0]:
                alive[index + 1 + other] = False
    return kept
