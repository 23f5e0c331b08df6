"""Ways to make the same tree-search load on one server."""
