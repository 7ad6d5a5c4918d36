"""What the HTTP port hands out as files. They are programs of their own, which nothing here imports."""
