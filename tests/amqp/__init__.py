"""Tests of the wire: bytes alone, no broker."""
