"""What CI systems run. GitHub's part is run by act, on this machine, without containers."""
