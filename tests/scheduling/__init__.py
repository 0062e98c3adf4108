"""Tests of graphs and steps."""
