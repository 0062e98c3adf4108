"""The contenders: how each starts and stops services; the floors among them use no library."""
