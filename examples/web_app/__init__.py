"""A small service that lets users sign in with Kantata and shows them their projects."""
