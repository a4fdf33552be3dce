"""What is measured of answers, and of attention, in each stage."""
