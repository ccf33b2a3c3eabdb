"""What writes MXNet's operators as lines of PyTorch, a module for each kind."""
