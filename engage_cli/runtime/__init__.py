"""The machine under a process: devices, ranks, signals, and where the time goes."""
