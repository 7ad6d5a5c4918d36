"""The commands: `leveret` runs a broker, `leveretctl` looks at a running one, sets policies and
limits, and stops it."""

DEFAULT_DATA_DIR = "leveret-data"
