"""Weights somebody else trained: fetched, read, and checked.

`ssdreg.registry.weights` is what a plug-in yields; here `fetching` brings the file to disk,
`formats` reads it (safetensors, ``.params``, PyTorch's ``.pth``), and `loading` checks it against
the backbone's symbol.
"""
