"""The filters of lists: what they are made of, those that every list has, and those whose names say what they do."""
