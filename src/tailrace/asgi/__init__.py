"""The HTTP surface of the service: one router, and what its routes do."""
