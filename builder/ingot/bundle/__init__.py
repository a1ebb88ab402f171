"""The executable as a file: its format, written once, and what writes and reads it."""
