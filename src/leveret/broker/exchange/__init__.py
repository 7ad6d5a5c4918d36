"""Exchanges: one small module for each type, each with the same few methods."""
