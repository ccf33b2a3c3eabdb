"""What is deployed: a deploy symbol with its parameters, and MXNet executing it."""
