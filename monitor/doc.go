// Package monitor is the machinery of monitors. A Watch takes attestations from gossip, judges and keeps them, and
// answers queries about scores, hours, monitors and evidence. A Prober makes the rounds: it finds blobs, asks nodes,
// attests, and tells the accused. The rules are in packages round, score and probe; this package has the clock, the
// network, which it is given, and the disk. Start with Open and, for a process that probes, NewProber.
package monitor
