"""Outer loops over whole runs."""
