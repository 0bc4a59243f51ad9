"""Files on this machine, and downloads into them."""
