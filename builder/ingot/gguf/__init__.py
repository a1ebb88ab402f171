"""Reading GGUF files as hostile input: headers, facts about a model, split files."""
