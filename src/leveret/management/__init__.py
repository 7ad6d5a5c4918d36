"""What people and programs see of a running broker: listings and status, for leveretctl and the HTTP API alike.

It reads the broker's public attributes and changes nothing.
"""
