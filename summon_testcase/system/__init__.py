"""Questions to this machine: who listens where, who is whose child, which ports are free."""
