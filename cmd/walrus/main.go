// Command walrus stores blobs in a Walrus network, reads them, runs storage nodes, and sets up networks for development.
// It turns flags and files into configurations, runs what they describe, prints, and decides nothing itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker: -X main.version=….
var version = "dev"

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in order. From then on the default action is back: a second one ends the process.
	context.AfterFunc(ctx, stop)
	// A reader that has gone away (walrus read … | head) is an error of the write, not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
}
