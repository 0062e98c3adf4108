"""What happened in a run: recorded, and told to people."""
