"""Tests of what the kernel is asked."""
