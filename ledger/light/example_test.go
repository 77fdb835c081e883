package light_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"walrus/ledger/light"
)

// A client needs only the genesis and a host. It verifies every answer against the validators' signatures.
func ExampleClient_Account() {
	network := light.NewExampleNetwork(0)
	defer network.Close()

	client, err := light.New(light.Config{Genesis: network.Genesis, Host: network.Host,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	account, err := client.Account(context.Background(), network.Alice)
	fmt.Println(account.Balance, err)
	// Output: 5 WAL <nil>
}

// Reading a stalled ledger gives the last value together with a *Stall, which says why the value may be outdated.
func ExampleStall() {
	network := light.NewExampleNetwork(time.Hour)
	defer network.Close()

	client, err := light.New(light.Config{Genesis: network.Genesis, Host: network.Host,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	account, err := client.Account(context.Background(), network.Alice)
	var stall *light.Stall
	if errors.As(err, &stall) {
		fmt.Printf("at height %d: %s\n", stall.Height, stall.Reason)
	} else if err != nil {
		panic(err)
	}
	fmt.Println(account.Balance)
	// Output:
	// at height 3: 58 of 100 shards are reachable, 67 needed
	// 5 WAL
}
