"""Tests of the captured log, and of the excerpt that errors show."""
