"""The commands: `leveret` runs a broker, `leveretctl` looks at a running one and stops it."""

DEFAULT_DATA_DIR = "leveret-data"
