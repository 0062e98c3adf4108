"""Tests of the questions about readiness."""
