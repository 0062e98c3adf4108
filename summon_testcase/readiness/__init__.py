"""Is it ready? One loop that asks, and a file for each kind of question."""
