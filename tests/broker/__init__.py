"""Tests of the room `broker/` inside this process: bytes in, bytes out, time held still."""
