"""The tests that well-known clients ship on PyPI, run against Leveret as they are: `make conformance`.

`suites` says what is run and how each suite is told its broker, `deselected.toml` what is left out and why, by name.
`packages` fetches the suites, which are pinned by their hashes, and makes the environment that they run in.
Nothing of a suite is changed. Two of them start their broker with Docker, and one calls rabbitmqctl: `containers`
answers in their place with a Leveret. `inside` is loaded into the suites' pytest, and lets nothing leave loopback.
"""
