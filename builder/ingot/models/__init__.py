"""Making GGUF models out of other ones, by the engine's own tools."""
