"""What a symbol says: its nodes, the stages of a network, and the taps at their ends."""
