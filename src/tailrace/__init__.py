"""Files over HTTP in constant memory."""
