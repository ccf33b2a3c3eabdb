"""Elementwise operators, activations, and reductions."""

from __future__ import annotations

from ssdreg_torch.export.code import (
    COMPARISON,
    POWER,
    PRODUCT,
    SIGN,
    SUM,
    Code,
    Site,
    call,
    number,
    unwritten,
    writes,
)

#: Activations by MXNet's ``act_type``.
_ACTIVATIONS = {"relu": "F.relu", "sigmoid": "torch.sigmoid", "tanh": "torch.tanh",
                "softrelu": "F.softplus", "softsign": "F.softsign"}
#: Functions of one value.
_UNARY = {"relu": "F.relu", "softsign": "F.softsign", "arcsin": "torch.asin",
          "arccos": "torch.acos", "arctan": "torch.atan",
          **{name: f"torch.{name}" for name in (
              "sigmoid", "tanh", "exp", "log", "log1p", "sqrt", "rsqrt", "square", "abs", "floor",
              "ceil", "erf", "reciprocal", "sign", "sin", "cos", "tan", "sinh", "cosh",
              "zeros_like", "ones_like")}}
_BINARY = {"add": ("+", SUM), "sub": ("-", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT)}
_COMPARISONS = {"equal": "==", "not_equal": "!=", "greater": ">", "greater_equal": ">=",
                "lesser": "<", "lesser_equal": "<="}
_REDUCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}


def joined(first: str, sign: str, second: str, binding: int) -> Code:
    """Return an expression of two parts."""
    return Code(f"{first} {sign} {second}", binding)


@writes("Activation")
def activation(site: Site) -> Code:
    """Write the function of ``act_type``."""
    kind = site.node.attrs.text("act_type")
    if kind not in _ACTIVATIONS:
        raise unwritten(site.node, f"it is {kind!r}")
    return call(_ACTIVATIONS[kind], site.inputs[0])


@writes("LeakyReLU")
def leaky(site: Site) -> Code:
    """Write an activation of MXNet's LeakyReLU."""
    attrs, data = site.node.attrs, site.inputs[0]
    kind, slope = attrs.text("act_type", "leaky"), attrs.number("slope", 0.25)
    if kind == "prelu":
        return call("F.prelu", data, f"{site.inputs[1].atom}.flatten()")
    if kind in ("leaky", "elu"):
        return call("F.leaky_relu" if kind == "leaky" else "F.elu", data, number(slope))
    if kind in ("selu", "gelu"):
        return call(f"F.{kind}", data)
    raise unwritten(site.node, f"it is {kind!r}")


@writes("hard_sigmoid")
def hard_sigmoid(site: Site) -> Code:
    """Write ``clip(alpha * x + beta, 0, 1)``."""
    attrs, data = site.node.attrs, site.inputs[0]
    alpha, beta = attrs.number("alpha", 0.2), attrs.number("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return call("F.hardsigmoid", data)
    return call("torch.clamp", f"{number(alpha)} * {data.within(PRODUCT)} + {number(beta)}", 0, 1)


@writes("clip")
def clip(site: Site) -> Code:
    """Write values kept between two bounds, as ReLU6 does."""
    low, high = site.node.attrs.number("a_min"), site.node.attrs.number("a_max")
    if (low, high) == (0, 6):
        return call("F.relu6", site.inputs[0])
    return call("torch.clamp", site.inputs[0], number(low), number(high))


@writes(*_UNARY)
def unary(site: Site) -> Code:
    """Write a function of one value."""
    return call(_UNARY[site.node.op], site.inputs[0])


@writes("_copy", "identity")
def copied(site: Site) -> Code:
    """Write the value itself."""
    return site.inputs[0]


@writes("negative")
def negative(site: Site) -> Code:
    """Write the value with the other sign."""
    return Code(f"-{site.inputs[0].within(SIGN)}", SIGN)


@writes("BlockGrad")
def block_grad(site: Site) -> Code:
    """Write a value that passes no gradient on."""
    return Code(f"{site.inputs[0].atom}.detach()")


@writes(*(f"{kind}_{name}" for kind in ("elemwise", "broadcast") for name in _BINARY))
def binary(site: Site) -> Code:
    """Write a sum, difference, product or quotient."""
    sign, binding = _BINARY[site.node.op.split("_")[1]]
    first, second = site.inputs
    return joined(first.within(binding), sign,
                  second.within(binding + (sign in "-/")), binding)


@writes("_power", "broadcast_power")
def power(site: Site) -> Code:
    """Write a power."""
    return joined(site.inputs[0].atom, "**", site.inputs[1].atom, POWER)


@writes("_maximum", "broadcast_maximum", "_minimum", "broadcast_minimum")
def extreme(site: Site) -> Code:
    """Write the greater or lesser of two values."""
    return call("torch.maximum" if site.node.op.endswith("maximum") else "torch.minimum",
                *site.inputs)


@writes("_plus_scalar", "_minus_scalar", "_rminus_scalar", "_mul_scalar", "_div_scalar",
        "_rdiv_scalar", "_power_scalar", "_rpower_scalar", "_maximum_scalar", "_minimum_scalar")
def with_number(site: Site) -> Code:
    """Write an operator with a number."""
    data, op = site.inputs[0], site.node.op[1:-len("_scalar")]
    value = number(site.node.attrs.number("scalar"))
    if op in ("maximum", "minimum"):
        bound = "min" if op == "maximum" else "max"
        return Code(f"{data.atom}.clamp({bound}={value})")
    if op == "mul" and value == "-1":
        return Code(f"-{data.within(SIGN)}", SIGN)
    if op in ("power", "rpower"):
        base, exponent = (data.atom, value) if op == "power" else (f"({value})", data.atom)
        return joined(base, "**", exponent, POWER)
    turned, name = (True, op[1:]) if op.startswith("r") else (False, op)
    sign, binding = {"plus": ("+", SUM), "minus": ("-", SUM), "mul": ("*", PRODUCT),
                     "div": ("/", PRODUCT)}[name]
    if turned or op == "mul":
        return joined(value, sign, data.within(binding + turned), binding)
    return joined(data.within(binding), sign, f"({value})" if value.startswith("-") else value,
                  binding)


@writes(*(form.format(name) for form in ("_{}", "broadcast_{}", "_{}_scalar")
          for name in _COMPARISONS))
def comparison(site: Site) -> Code:
    """Write a comparison, whose results are 1 and 0."""
    op = site.node.op.replace("broadcast", "").replace("_scalar", "")[1:]
    other = (number(site.node.attrs.number("scalar")) if site.node.op.endswith("_scalar")
             else site.inputs[1].within(SUM))
    compared = joined(site.inputs[0].within(SUM), _COMPARISONS[op], other, COMPARISON)
    return Code(f"({compared.text}).float()")


@writes("add_n")
def sum_of_all(site: Site) -> Code:
    """Write the sum of all inputs."""
    return Code(" + ".join(data.within(SUM) for data in site.inputs), SUM)


@writes("where")
def where(site: Site) -> Code:
    """Write a selection between two values of the condition's shape."""
    if site.shapes[0] is None or site.shapes[0] != site.shapes[1]:
        raise unwritten(site.node, "its condition is of another shape than its values")
    return call("torch.where", f"{site.inputs[0].within(SUM)} != 0", *site.inputs[1:])


@writes("Dropout")
def dropout(site: Site) -> Code:
    """Write values of which some are dropped at random in training."""
    attrs = site.node.attrs
    if attrs.sequence("axes") or attrs.text("mode") == "always":
        raise unwritten(site.node, "it drops whole axes, or drops always")
    return call("F.dropout", site.inputs[0], number(attrs.number("p", 0.5)), "self.training")


@writes("Cast", "amp_cast")
def cast(site: Site) -> Code:
    """Write a conversion to float32; that of mixed precision is left to autocast."""
    dtype = site.node.attrs.text("dtype")
    if site.node.op == "amp_cast":
        return site.inputs[0]
    if dtype != "float32":
        raise unwritten(site.node, f"it makes {dtype} of its input")
    return Code(f"{site.inputs[0].atom}.float()")


@writes("smooth_l1")
def smooth_l1(site: Site) -> Code:
    """Write the smooth L1 function."""
    data, scale = site.inputs[0], site.node.attrs.number("scalar", 1.0)
    return call("F.smooth_l1_loss", data, f"torch.zeros_like({data.text})",
                reduction='"none"', **({} if scale == 1 else {"beta": number(1 / scale ** 2)}))


@writes("one_hot")
def one_hot(site: Site) -> Code:
    """Write a new last axis, 1 at an index."""
    attrs = site.node.attrs
    if (attrs.number("on_value", 1.0), attrs.number("off_value", 0.0)) != (1.0, 0.0):
        raise unwritten(site.node, "it is on and off by other values than 1 and 0")
    return call(site.helper("one_hot"), site.inputs[0], attrs.integer("depth"))


@writes(*_REDUCTIONS)
def reduction(site: Site) -> Code:
    """Write a mean, sum or extreme over axes."""
    attrs, data = site.node.attrs, site.inputs[0].atom
    axes, keep = attrs.sequence("axis"), attrs.flag("keepdims")
    if attrs.flag("exclude"):
        raise unwritten(site.node, "it names the axes that stay")
    if not axes:
        if keep:
            raise unwritten(site.node, "it reduces all axes and keeps them")
        return Code(f"{data}.{_REDUCTIONS[site.node.op]}()")
    over = axes[0] if len(axes) == 1 else axes
    return call(f"{data}.{_REDUCTIONS[site.node.op]}", over, **({"keepdim": True} if keep else {}))


@writes("argsort")
def argsort(site: Site) -> Code:
    """Write the indices that sort an axis, as numbers; equals keep their order."""
    attrs = site.node.attrs
    if attrs.texts.get("axis") == "None":
        raise unwritten(site.node, "it sorts all values as one")
    falls = {} if attrs.flag("is_ascend", True) else {"descending": True}
    order = call(f"{site.inputs[0].atom}.argsort", dim=attrs.integer("axis", -1), **falls,
                 stable=True)
    return Code(f"{order.text}.float()")


@writes("softmax", "log_softmax")
def softmax(site: Site) -> Code:
    """Write a softmax over one axis, or its logarithm."""
    attrs = site.node.attrs
    if len(site.inputs) > 1 or attrs.flag("use_length"):
        raise unwritten(site.node, "it looks at the first values of an axis only (use_length)")
    data, divisor = site.inputs[0], attrs.number("temperature", 1.0)
    if divisor != 1:
        data = joined(data.within(PRODUCT), "/", number(divisor), PRODUCT)
    return call(f"torch.{site.node.op}", data, attrs.integer("axis", -1))


@writes("SoftmaxActivation")
def softmax_activation(site: Site) -> Code:
    """Write a softmax over the channels."""
    if site.node.attrs.text("mode", "instance") != "channel" and site.rank() != 2:
        raise unwritten(site.node, "it is over all values of an image")
    return call("torch.softmax", site.inputs[0], 1)


@writes("pick")
def pick(site: Site) -> Code:
    """Write one value of axis 1 by its index."""
    attrs = site.node.attrs
    if attrs.integer("axis", -1) != 1 or attrs.flag("keepdims") or attrs.text("mode") == "wrap":
        raise unwritten(site.node, "it picks along another axis than the classes")
    return call(site.helper("pick"), *site.inputs)
