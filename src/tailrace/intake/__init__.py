"""Bytes come in: from request bodies and from producers, through one loop (`fill`)."""
