"""Tests of what is declared, and of what is refused of it."""
