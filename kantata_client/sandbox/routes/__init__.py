"""What carries out the operations: the five of every resource by their shape, and the custom ones."""
