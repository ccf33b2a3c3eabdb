"""Weights somebody else trained: declared by plug-ins, fetched, read, and checked.

`ssdreg.registry.weights` is what a plug-in yields, `fetching` brings the file to disk, `formats`
reads it (safetensors, ``.params``, PyTorch's ``.pth``), `loading` checks it against the backbone's
symbol.
"""
