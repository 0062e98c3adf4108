"""Ready-made services: what a server needs to be told, a file for each."""
