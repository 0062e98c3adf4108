"""Many services: which one refers to which, and in which order they start and stop."""
