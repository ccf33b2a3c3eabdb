"""Training a detector: `options`, starting parameters (`start`), the loop (`trainer`), `state`.

Nothing is imported here, because the command line reads the options' defaults and must stay quick.
"""
