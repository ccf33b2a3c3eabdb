"""MXNet's operators in PyTorch, a module for each kind."""
