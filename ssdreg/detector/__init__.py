"""From a backbone to a plan, verified, and from the plan to one symbol."""
