// Package natbench puts real processes behind home routers. Its test makes a small Internet of network namespaces:
// seven storage nodes with public addresses, routers of every kind, and homes behind them, with 40 ms between any two
// public addresses. It judges which pairs of homes get a direct connection, how soon, and whether walrus doctor names
// each router correctly. It has no code besides tests. Start with TestRouters: `make nat` runs it.
package natbench
