"""Attacks on the commands with broken inputs, kills and full disks, counted in one table: `make torture`."""
