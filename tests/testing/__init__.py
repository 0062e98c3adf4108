"""Tests of services in a TestCase."""
