"""Tests of declarations, and of arguments that are refused."""
