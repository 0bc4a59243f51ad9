"""The filters of lists: building blocks, common filters, and filters whose rule follows from their name."""
