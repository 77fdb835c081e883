package shards_test

import (
	"bytes"
	"context"
	"fmt"

	"walrus/shards"
)

// Encode a blob that fits in memory, and decode it from five verified slivers of thirteen.
func ExampleEncode() {
	p, err := shards.NewParams(13)
	if err != nil {
		panic(err)
	}
	metadata, pairs, err := shards.Encode(p, []byte("hello walrus"))
	if err != nil {
		panic(err)
	}
	fmt.Println(metadata.ID())

	// Any five of the thirteen primary slivers, the rows of the encoded matrix, give back the blob.
	slivers := make(map[int][]byte)
	for _, i := range []int{2, 5, 7, 11, 12} {
		if err := metadata.VerifySliver(shards.Primary, i, pairs[i].Primary); err != nil {
			panic(err)
		}
		slivers[i] = pairs[i].Primary
	}
	blob, err := metadata.Decode(shards.Primary, slivers)
	fmt.Printf("%s %v\n", blob, err)
	// Output:
	// L7kEHGCfjbprqWB_nErMKo-ltQk0YEa01MiNytG1bJE
	// hello walrus <nil>
}

// An Encoder needs little memory: it reads the blob twice, first for the metadata, then strip by strip for the slivers.
// A node verifies its sliver as the strips arrive.
func ExampleEncoder() {
	p, err := shards.NewParams(13)
	if err != nil {
		panic(err)
	}
	blob := bytes.NewReader(make([]byte, 1<<20))
	encoder, err := shards.NewEncoder(p, blob, uint64(blob.Len()))
	if err != nil {
		panic(err)
	}
	metadata, err := encoder.Metadata(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	verifier, err := shards.NewVerifier(metadata, shards.Primary, 12)
	if err != nil {
		panic(err)
	}
	err = encoder.Strips(context.Background(), func(strip *shards.Strip) error {
		defer strip.Release()
		return verifier.WriteStrip(strip.Sliver(shards.Primary, 12))
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(metadata.Layout(shards.Primary).Size(), "bytes, verified:", verifier.Close())
	// Output: 209718 bytes, verified: <nil>
}
