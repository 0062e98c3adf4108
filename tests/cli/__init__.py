"""Tests of the command ``summon``."""
