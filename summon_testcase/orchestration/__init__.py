"""Many services: who refers to whom, and in which order they start and stop."""
