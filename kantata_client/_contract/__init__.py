"""What generated code is made of."""
