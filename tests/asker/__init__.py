"""Tests of the program that asks by requests what may block."""
