"""Training: starting parameters, the loop, its state on disk.

Nothing is imported here, because the command line reads the options' defaults and must stay quick.
"""
