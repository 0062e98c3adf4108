"""Ready-made services: executors that know how to run a certain server, a file for each."""
