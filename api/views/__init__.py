"""Domain values as response bodies."""
