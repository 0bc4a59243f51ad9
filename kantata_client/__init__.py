"""Async, typed client of the Kantata OX REST API."""
