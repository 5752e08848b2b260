"""Many requests from a CSV file: `rows` reads it, `outcomes` remembers, `runner` does the work."""
