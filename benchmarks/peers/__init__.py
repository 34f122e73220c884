"""Other frameworks, each called as its documentation recommends. The scripts run in the interpreters of `benchmarks.oracle_peers`."""
