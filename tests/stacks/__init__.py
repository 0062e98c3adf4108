"""Tests of running stacks, as other processes see them."""
