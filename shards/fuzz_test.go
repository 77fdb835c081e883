package shards

import (
	"bytes"
	"testing"
)

func FuzzParseBlobID(f *testing.F) {
	f.Add("RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY")
	f.Add("RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kZ")
	f.Add("")
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseBlobID(s)
		if err == nil && id.String() != s {
			t.Errorf("%q is read as %s", s, id)
		}
		if back, err := ParseBlobID(id.String()); err != nil || back != id {
			t.Errorf("%s is read as %s, %v", id, back, err)
		}
	})
}

func FuzzUnmarshalMetadata(f *testing.F) {
	p, err := NewParams(4)
	if err != nil {
		f.Fatal(err)
	}
	m, _, err := Encode(p, []byte("walrus"))
	if err != nil {
		f.Fatal(err)
	}
	id := m.ID()
	f.Add(m.Marshal())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := UnmarshalMetadata(p, id, b)
		if (err == nil) != bytes.Equal(b, m.Marshal()) {
			t.Fatalf("%x: %v", b, err)
		}
		if err == nil && got.ID() != id {
			t.Fatalf("%x: blob ID %s", b, got.ID())
		}
	})
}

// fuzzed is a small blob to attack.
func fuzzed(f *testing.F) (*Metadata, []Pair) {
	p, err := NewParams(7)
	if err != nil {
		f.Fatal(err)
	}
	m, pairs, err := Encode(p, testBlob(1000))
	if err != nil {
		f.Fatal(err)
	}
	return m, pairs
}

func FuzzVerifySymbol(f *testing.F) {
	m, pairs := fuzzed(f)
	symbols, err := m.ExtractSymbols(Primary, 2, bytes.NewReader(pairs[2].Primary), []int{5})
	if err != nil {
		f.Fatal(err)
	}
	proof := bytes.Join([][]byte{symbols[0].Proof[0][:], symbols[0].Proof[1][:], symbols[0].Proof[2][:]}, nil)
	f.Add(uint8(0), 2, 5, symbols[0].Data, proof)
	f.Add(uint8(1), -1, 1<<30, []byte{}, proof[1:])
	f.Fuzz(func(t *testing.T, axis uint8, index, target int, data, proof []byte) {
		sym := Symbol{Data: data}
		for ; len(proof) >= HashSize; proof = proof[HashSize:] {
			sym.Proof = append(sym.Proof, Hash(proof[:HashSize]))
		}
		err := m.VerifySymbol(Axis(axis), index, target, sym)
		if err == nil && (axis != 0 || index != 2 || target != 5 || !bytes.Equal(data, symbols[0].Data)) {
			// Besides these only valid symbols of the encoding may pass.
			pair := m.Params().PairOfSliver(Axis(axis), index)
			sliver := pairs[pair].Primary
			if Axis(axis) == Secondary {
				sliver = pairs[pair].Secondary
			}
			want, err := m.ExtractSymbols(Axis(axis), index, bytes.NewReader(sliver), []int{target})
			if err != nil || !bytes.Equal(want[0].Data, data) {
				t.Fatalf("%s sliver %d symbol %d: %x passes", Axis(axis), index, target, data)
			}
		}
	})
}

func FuzzExtractSymbols(f *testing.F) {
	m, pairs := fuzzed(f)
	f.Add(uint8(0), 2, pairs[2].Primary, 5)
	f.Add(uint8(1), 0, pairs[6].Secondary, 0)
	f.Add(uint8(7), -3, []byte{}, 1<<30)
	f.Fuzz(func(t *testing.T, axis uint8, index int, sliver []byte, target int) {
		symbols, err := m.ExtractSymbols(Axis(axis), index, bytes.NewReader(sliver), []int{target, target})
		if err != nil {
			return
		}
		for _, sym := range symbols {
			if err := m.VerifySymbol(Axis(axis), index, target, sym); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	m, pairs := fuzzed(f)
	f.Add(uint8(0), uint16(0b111), uint16(0), uint8(0))
	f.Add(uint8(1), uint16(0b1111100), uint16(3), uint8(1))
	f.Fuzz(func(t *testing.T, axis uint8, mask, at uint16, flip uint8) {
		slivers := make(map[int][]byte)
		for i := range pairs {
			if mask>>i&1 == 1 && Axis(axis).Valid() {
				s := bytes.Clone(sliverOf(pairs, m.Params(), Axis(axis), i))
				s[int(at)%len(s)] ^= flip
				slivers[i] = s
			}
		}
		blob, err := m.Decode(Axis(axis), slivers)
		if err == nil && !bytes.Equal(blob, testBlob(1000)) {
			t.Fatal("decoded something else")
		}
	})
}
