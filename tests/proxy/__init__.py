"""Tests of the program that passes TCP connections on."""
