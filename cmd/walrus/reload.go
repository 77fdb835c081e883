package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/libp2p/go-libp2p/core/peer"
)

// reloads receives a value for each SIGHUP from now on, which would else end the process.
func reloads() chan os.Signal {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	return asked
}

// reloadAllowed reads the allow list again whenever that is asked for, until ctx ends. A list that cannot be read
// changes nothing.
func reloadAllowed(ctx context.Context, asked chan os.Signal, log *slog.Logger, read func() (func(peer.ID) bool, error), set func(func(peer.ID) bool) int) error {
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
		}
		list, err := read()
		if err != nil {
			log.Error("the allow list was not read again: the old one stays in force", "err", err)
			continue
		}
		closed := set(list)
		log.Info("the allow list was read again", "private", list != nil, "disconnected", closed)
	}
}
