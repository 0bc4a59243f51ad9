"""A call: arguments in, a request out; a response in, objects out."""
