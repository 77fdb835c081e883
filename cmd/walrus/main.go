// Command walrus stores blobs in a Walrus network, reads them, runs storage nodes, and sets up networks for
// development. It turns flags and files into configurations, runs the parts they describe, and prints. It decides
// nothing itself.
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
	// The first signal ends the work in order. It also restores the default action: a second signal kills the process.
	context.AfterFunc(ctx, stop)
	// If the reader leaves (walrus read … | head), the write fails, but the process does not die.
	signal.Ignore(syscall.SIGPIPE)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
}
