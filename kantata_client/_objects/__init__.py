"""The base of the generated models."""
