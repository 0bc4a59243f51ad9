"""Hand-written methods of resources, one module for each resource, and the base class of all resources."""
