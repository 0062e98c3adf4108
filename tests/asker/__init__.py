"""Tests of the program that asks servers and resolvers, which may take long to answer."""
