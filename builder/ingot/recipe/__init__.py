"""What to build, planned from checked inputs and then built."""
