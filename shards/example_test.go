package shards_test

import (
	"fmt"

	"walrus/shards"
)

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
