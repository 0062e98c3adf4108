"""Tests of many services, started and stopped in order."""
