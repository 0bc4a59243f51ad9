"""Local files: what is uploaded, and what is downloaded to them."""
