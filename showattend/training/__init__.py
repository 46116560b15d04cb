"""Training with Lightning: the module that it sees, the callbacks around it, the commands over both."""
