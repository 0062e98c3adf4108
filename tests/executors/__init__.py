"""Tests of what users declare, on real processes."""
