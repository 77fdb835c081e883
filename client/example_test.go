package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"walrus/client"
	"walrus/quilt"
	"walrus/shards"
)

// Store a blob for three epochs, and read a part of it back. Storing it again costs nothing. Outside of tests, package
// clientnode makes a Client of a whole network.
func ExampleClient_Store() {
	ctx := context.Background()
	c := client.InMemory()
	text := "A walrus may dive for half an hour.\n"
	stored, err := c.Store(ctx, strings.NewReader(text), uint64(len(text)), client.StoreOptions{Epochs: 3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.Operation, "until epoch", stored.EndEpoch)

	blob, err := c.Open(ctx, stored.BlobID)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := blob.CopyRange(ctx, os.Stdout, 13, int64(len(text))-13, client.ReadOptions{}); err != nil {
		log.Fatal(err)
	}

	again, err := c.Store(ctx, strings.NewReader(text), uint64(len(text)), client.StoreOptions{Epochs: 3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.AlreadyCertified, again.Cost.Total())
	// Output:
	// registerFromScratch until epoch 4
	// dive for half an hour.
	// true 0 WAL
}

// Approve sees the cost before anything is paid, and may refuse it.
func ExampleClient_Store_approve() {
	ctx := context.Background()
	c := client.InMemory()
	tooMuch := errors.New("more than I have")
	_, err := c.Store(ctx, strings.NewReader("tusks"), 5, client.StoreOptions{
		Approve: func(client.Cost) error { return tooMuch },
	})
	fmt.Println(errors.Is(err, tooMuch))
	_, err = c.Read(ctx, shards.BlobID{}, io.Discard, client.ReadOptions{})
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// true
	// true
}

// Store two files as one quilt, and read one of them: only its columns are fetched.
func ExampleClient_OpenQuilt() {
	ctx := context.Background()
	c := client.InMemory()
	var files []quilt.File
	for name, text := range map[string]string{"bull.txt": "1700 kg\n", "calf.txt": "60 kg\n"} {
		files = append(files, quilt.File{Identifier: name, Size: int64(len(text)), Content: strings.NewReader(text)})
	}
	stored, err := c.StoreQuilt(ctx, files, client.StoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	q, err := c.OpenQuilt(ctx, stored.BlobID)
	if err != nil {
		log.Fatal(err)
	}
	found, err := q.Find("calf.txt")
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := q.CopyFile(ctx, os.Stdout, found[0]); err != nil {
		log.Fatal(err)
	}
	// Output: 60 kg
}
