"""Getting the pinned engine and making the runtime image from it."""
