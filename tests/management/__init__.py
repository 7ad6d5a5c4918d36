"""What people and programs see of a broker, without sockets."""
