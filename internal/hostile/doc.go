// Package hostile holds the referee between a network and strangers who mean it harm. Its test starts seven storage
// nodes as processes, lets hostile peers loose on them one attack after the other, measures the nodes and an honest
// client meanwhile, and prints a table. It has no code besides tests. Start with TestHostile: `make hostile` runs it in
// full, `make test` a short form with four nodes in one process.
package hostile
