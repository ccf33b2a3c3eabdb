"""The table of translations: from a node's operator and settings to a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

from attrs import frozen
from torch import Tensor

from ssdreg.graph.nodes import Node
from ssdreg_torch.errors import TranslationError

#: Computes an operator from the tensors that it reads, in their order: one output or several. A
#: label that was not given to the module is None.
Compute = Callable[..., Union[Tensor, Sequence[Tensor]]]


@frozen(eq=False)
class Operation:
    """How an operator computes while its module trains, and when it does not.

    `loss` computes, from the same tensors, a scalar whose gradient is the one that MXNet's
    operator makes up: the outputs of such an operator pass no gradient on.
    """

    train: Compute
    infer: Compute
    loss: Callable[..., Tensor] | None = None


#: Reads a node's settings once and returns how it computes.
Translation = Callable[[Node], Union[Compute, Operation]]

_TRANSLATIONS: dict[str, Translation] = {}


def translates(*ops: str) -> Callable[[Translation], Translation]:
    """Mark a function as the translation of MXNet's operators of these names."""
    def mark(translation: Translation) -> Translation:
        _TRANSLATIONS.update(dict.fromkeys(ops, translation))
        return translation
    return mark


def operation_of(node: Node) -> Operation:
    """Return how a node computes; raise TranslationError where nothing is known of its operator."""
    if node.op not in _TRANSLATIONS:
        raise TranslationError(f"{node.op} at node {node.name!r} has no translation to PyTorch: "
                               f"train this network with MXNet")
    try:
        computed: Any = _TRANSLATIONS[node.op](node)
    except ValueError as error:
        raise unsupported(node, str(error)) from error
    return computed if isinstance(computed, Operation) else Operation(computed, computed)


def unsupported(node: Node, reason: str) -> TranslationError:
    """Return the error for an operator that is known, with settings that are not."""
    return TranslationError(f"{node.op} at node {node.name!r} cannot be translated to PyTorch: "
                            f"{reason}")


def known() -> tuple[str, ...]:
    """Return the names of all operators that have a translation."""
    # the module that imports all translations, and is built on this one
    import ssdreg_torch.module  # noqa: F401
    return tuple(sorted(_TRANSLATIONS))
