"""What each command does with its parsed arguments, one module a command, and 0, 1 or 2 for the shell."""
