"""A request's query string as values: what to select, which rows, in which order."""
