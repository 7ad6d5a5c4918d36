"""Where the broker meets the machine: sockets, the tick, signals, logging."""
