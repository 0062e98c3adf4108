"""What this machine says: who listens where, whose process is whose, which ports are free."""
