"""The graph as data: typed, shaped and immutable."""
