"""Tests of one running instance of a service."""
