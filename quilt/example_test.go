package quilt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"walrus/quilt"
	"walrus/shards"
)

// columns reads the columns of a quilt in order from the first of them, as secondary slivers deliver them.
func columns(q *quilt.Quilt, p shards.Params, first int) io.Reader {
	symbol := int64(q.Size()) / int64(p.Rows()*p.Columns())
	var readers []io.Reader
	for column := first; column < p.Columns(); column++ {
		for row := range p.Rows() {
			readers = append(readers, io.NewSectionReader(q, int64(row*p.Columns()+column)*symbol, symbol))
		}
	}
	return io.MultiReader(readers...)
}

// newQuilt lays out two files for a network of ten shards.
func newQuilt(p shards.Params) *quilt.Quilt {
	q, err := quilt.New(p, []quilt.File{
		{Identifier: "b.txt", Size: 5, Content: bytes.NewReader([]byte("world"))},
		{Identifier: "a.txt", Size: 5, Content: bytes.NewReader([]byte("hello")), Tags: map[string]string{"lang": "en"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return q
}

// The quilt is an io.ReaderAt: encode it like any blob.
func ExampleNew() {
	params, err := shards.NewParams(10)
	if err != nil {
		log.Fatal(err)
	}
	q := newQuilt(params)
	encoder, err := shards.NewEncoder(params, q, q.Size())
	if err != nil {
		log.Fatal(err)
	}
	metadata, err := encoder.Metadata(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("quilt", metadata.ID())
	for _, p := range q.Index().Patches {
		fmt.Println(p.Identifier, "in columns", p.Start, "to", p.End-1)
	}
	// Output:
	// quilt AEpE2uG5lSnrViRaMQ9GiTKV7M5yKHW8-u4xNUwTCZ8
	// a.txt in columns 2 to 3
	// b.txt in columns 4 to 5
}

// ReadIndex and ReadFile take a quilt apart, column by column.
func ExampleReadIndex() {
	params, err := shards.NewParams(10)
	if err != nil {
		log.Fatal(err)
	}
	q := newQuilt(params)
	index, err := quilt.ReadIndex(params, q.Size(), columns(q, params, 0))
	if err != nil {
		log.Fatal(err)
	}
	for _, patch := range index.Tagged("lang", "en") {
		content := columns(q, params, patch.Start)
		if patch, err = quilt.ReadFile(params, q.Size(), patch, content); err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(io.LimitReader(content, patch.Size))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", patch.Identifier, text)
	}
	// Output: a.txt: hello
}
