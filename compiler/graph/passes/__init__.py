"""Graph passes, one a file; each says what it requires and what it ensures. `graph.pipeline` is the list of them."""
