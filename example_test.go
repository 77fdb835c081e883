package walrus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"strings"
	"testing/fstest"

	"walrus"
	"walrus/config"
)

// Store some bytes and read them back.
func Example() {
	ctx := context.Background()
	w, err := walrus.OpenFile(ctx, clientFile)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	stored, err := w.Store(ctx, strings.NewReader("Tusks are teeth.\n"), walrus.StoreOptions{Epochs: 3})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Read(ctx, stored.BlobID, os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output: Tusks are teeth.
}

// A program with its own configuration fills in the Config itself. Without a wallet it can only read.
func ExampleOpen() {
	ctx := context.Background()
	file, err := config.LoadClient(clientFile)
	if err != nil {
		log.Fatal(err)
	}
	genesis, err := config.LoadGenesis(file.Genesis)
	if err != nil {
		log.Fatal(err)
	}
	w, err := walrus.Open(ctx, walrus.Config{Genesis: genesis, Bootstrap: file.Bootstrap})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	_, err = w.Store(ctx, strings.NewReader("for nothing"), walrus.StoreOptions{})
	fmt.Println(errors.Is(err, walrus.ErrNoWallet))
	// Output: true
}

// Attributes are stored with the record of a blob. The blob's ID finds the record.
func ExampleClient_Store_attributes() {
	ctx := context.Background()
	w, err := walrus.OpenFile(ctx, clientFile)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	stored, err := w.Store(ctx, strings.NewReader("<p>Hello"), walrus.StoreOptions{
		Attributes: map[string]string{"content-type": "text/html", "language": "en"},
	})
	if err != nil {
		log.Fatal(err)
	}
	attributes, err := w.Attributes(ctx, stored.BlobID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(attributes)
	longer, err := w.Extend(ctx, stored.BlobID, 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("epochs more:", longer.EndEpoch-stored.EndEpoch)
	if _, err := w.Delete(ctx, stored.BlobID); err != nil {
		log.Fatal(err)
	}
	_, err = w.Extend(ctx, stored.BlobID, 1)
	fmt.Println("gone:", errors.Is(err, walrus.ErrNotFound))
	// Output:
	// map[content-type:text/html language:en]
	// epochs more: 2
	// gone: true
}

// StoreFS stores a folder as one blob. OpenFS opens it again as an fs.FS.
func ExampleClient_StoreFS() {
	ctx := context.Background()
	w, err := walrus.OpenFile(ctx, clientFile)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	site := fstest.MapFS{
		"index.html":   {Data: []byte("<h1>Walrus</h1>")},
		"css/main.css": {Data: []byte("h1 { color: teal }")},
	}
	stored, err := w.StoreFS(ctx, site, walrus.StoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	folder, err := w.OpenFS(ctx, stored.BlobID)
	if err != nil {
		log.Fatal(err)
	}
	err = fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(d, path)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	css, err := fs.ReadFile(folder, "css/main.css")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(css))
	// Output:
	// d ./ .
	// d css/ css
	// - main.css css/main.css
	// - index.html index.html
	// h1 { color: teal }
}

// NewReader reads any part of a blob without the rest.
func ExampleClient_NewReader() {
	ctx := context.Background()
	w, err := walrus.OpenFile(ctx, clientFile)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	stored, err := w.Store(ctx, strings.NewReader("Odobenus rosmarus is the only living species."), walrus.StoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	r, err := w.NewReader(ctx, stored.BlobID)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := r.Seek(9, io.SeekStart); err != nil {
		log.Fatal(err)
	}
	word := make([]byte, 8)
	if _, err := io.ReadFull(r, word); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, of %d bytes\n", word, r.Size())
	// Output: rosmarus, of 45 bytes
}
