"""Tests of the questions to the kernel."""
