"""PyTorch computes what an MXNet symbol says: the same outputs, losses and gradients.

    import ssdreg_torch
    module = ssdreg_torch.translate(symbol, params)
    outputs, loss = module(data=images, label=labels)
    loss.backward()

Importing this imports neither PyTorch nor MXNet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssdreg_torch.errors import TranslationError

if TYPE_CHECKING:
    from ssdreg.graph.nodes import Net
    from ssdreg.mx import mx
    from ssdreg.runs.params import Params
    from ssdreg_torch.module import SymbolModule

__all__ = ["TranslationError", "translate"]


def translate(symbol: mx.sym.Symbol | Net, params: Params) -> SymbolModule:
    """Return a symbol as a module of PyTorch, with these parameters, on the processor.

    Its parameters and buffers are copies, float32 as they are. Variables of the symbol that
    `params` do not hold are the module's inputs. Raises TranslationError, with operator and node,
    for what has no translation.
    """
    from ssdreg.graph.nodes import Net
    from ssdreg_torch.module import SymbolModule
    from ssdreg_torch.params import read
    net = symbol if isinstance(symbol, Net) else Net.of(symbol)
    return SymbolModule(net, read(params))
