"""Tests of the program that warden and keepers run."""
