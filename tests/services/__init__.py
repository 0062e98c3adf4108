"""Tests of the ready-made services."""
