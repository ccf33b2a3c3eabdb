"""Fewer bits on MXNet: int8 and bfloat16."""
