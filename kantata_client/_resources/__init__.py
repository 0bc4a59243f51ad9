"""The base of the generated resources, and the methods that some have besides the contract."""
