"""What the RFCs say, as values and pure functions: no clock, chance, disk, socket or loop."""
