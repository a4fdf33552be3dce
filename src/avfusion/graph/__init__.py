"""What a network computes: its operations recorded, and put together as a graph."""
