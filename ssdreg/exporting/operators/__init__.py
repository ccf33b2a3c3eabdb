"""MXNet's operators in ONNX, a module for each kind."""
