package keeper

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

// traceShards is the number of shards in the traces: 7 are a quorum. 4 primary slivers rebuild a secondary one, and 7
// secondary slivers a primary one.
const traceShards = 10

// scene is one keeper, with a ledger and other members that a trace directs.
type scene struct {
	t         *testing.T
	out       strings.Builder
	start     time.Time
	members   map[string]member
	known     committees
	ledger    *state
	keeper    *Keeper
	others    *others
	blobs     []*traced
	answers   chan error // of hand-overs
	endUpload func()
	close     func()
}

// traced is a blob of a trace, with what was last told of it.
type traced struct {
	name  string
	meta  *shards.Metadata
	pairs []shards.Pair

	certified string // who signed the certificate here; empty: there is none
	owed      int
	due       time.Time
}

func (b *traced) id() shards.BlobID { return b.meta.ID() }

func (b *traced) sliver(axis shards.Axis, pair int) []byte {
	if axis == shards.Primary {
		return b.pairs[pair].Primary
	}
	return b.pairs[pair].Secondary
}

func newScene(t *testing.T) *scene {
	s := &scene{
		t: t, start: time.Now(), members: map[string]member{}, known: committees{}, answers: make(chan error, 8),
		ledger: &state{values: map[string][]byte{}, ready: make(chan struct{})},
	}
	close(s.ledger.ready)
	s.others = &others{scene: s, moods: map[peer.ID]string{}}
	scfg := store.Default(t.TempDir())
	scfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(scfg)
	s.must(err)
	s.close = func() { s.must(st.Close()) }
	cfg := Default()
	cfg.Genesis, cfg.Key, cfg.Logger = &ledger.Genesis{Network: "test", Shards: traceShards}, s.member(
		"us").key, slog.New(journal{scene: s})
	s.keeper, err = New(cfg, Parts{Self: "us", Committees: s.known, Store: st, Peers: s.others,
		Network: s.others, Ledger: s.ledger})
	s.must(err)
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v; so far:\n%s", err, s.out.String())
	}
}

// say writes a line, with names in the place of IDs.
func (s *scene) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, b := range s.blobs {
		text = strings.ReplaceAll(text, b.id().String(), b.name)
	}
	for name, m := range s.members {
		text = strings.ReplaceAll(text, m.id.String(), name)
	}
	fmt.Fprintln(&s.out, "    "+text)
}

// tell says what has changed since the last event.
func (s *scene) tell() {
	synctest.Wait()
	for len(s.answers) > 0 {
		if err := <-s.answers; err != nil {
			s.say("the client hears: %v", err)
		} else {
			s.say("the client hears: taken")
		}
	}
	for _, b := range s.blobs {
		signed := ""
		if raw, err := s.keeper.shelf.Certificate(b.id()); err == nil {
			cert, err := certs.UnmarshalCertificate(raw)
			s.must(err)
			signed = fmt.Sprintf("signed by %d of %d shards of epoch %d", cert.Weight(s.known[cert.Epoch]),
				traceShards, cert.Epoch)
		}
		switch signed {
		case b.certified:
		case "":
			s.say("the certificate of %s is gone", b.name)
		default:
			s.say("recorded: the certificate of %s, %s", b.name, signed)
		}
		b.certified = signed
		owed, due := 0, time.Time{}
		if d := s.keeper.debts.owed[b.id()]; d != nil {
			owed, due = d.slivers, d.due
		}
		switch {
		case owed == b.owed && due.Equal(b.due):
		case owed == 0:
			s.say("nothing of %s is owed any more", b.name)
		default:
			s.say("owed: %d sliver%s of %s, to be repaired from %v on", owed, strings.Repeat("s", min(owed-1, 1)),
				b.name, due.Sub(s.start))
		}
		b.owed, b.due = owed, due
	}
}

// nextDue returns the blob whose debt is due first; nil if nothing is owed.
func (s *scene) nextDue() (first *traced) {
	for _, b := range s.blobs {
		if b.owed > 0 && (first == nil || b.due.Before(first.due)) {
			first = b
		}
	}
	return first
}

func (s *scene) number(text string) int {
	n, err := strconv.Atoi(text)
	s.must(err)
	return n
}

// member returns a node by its name.
func (s *scene) member(name string) member {
	if m, ok := s.members[name]; ok {
		return m
	}
	key, err := certs.NewSecretKey(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", name)))))
	s.must(err)
	s.members[name] = member{peer.ID(name), key}
	return s.members[name]
}

// blob returns a blob by its name, from which its content follows.
func (s *scene) blob(name string) *traced {
	for _, b := range s.blobs {
		if b.name == name {
			return b
		}
	}
	params, err := shards.NewParams(traceShards)
	s.must(err)
	b := &traced{name: name}
	b.meta, b.pairs, err = shards.Encode(params, bytes.Repeat([]byte(name), 2800))
	s.must(err)
	s.blobs = append(s.blobs, b)
	return b
}

// committee makes the committee of an epoch from names with shards: us:0,1 ana:2,3.
func (s *scene) committee(epoch uint32, seats []string) *certs.Committee {
	var list []certs.Member
	for _, text := range seats {
		name, held, _ := strings.Cut(text, ":")
		m := s.member(name)
		seat := certs.Member{Node: m.id, Name: name, Key: m.key.Public(), Proof: m.key.ProvePossession("test", m.id)}
		for _, shard := range strings.Split(held, ",") {
			seat.Shards = append(seat.Shards, s.number(shard))
		}
		list = append(list, seat)
	}
	com, err := certs.NewCommittee("test", certs.NetworkID{1}, epoch, traceShards, list)
	s.must(err)
	return com
}

// certificate makes a certificate from words: x@5 us,ana forged. Its signers need be neither a quorum nor members. It
// also says who has signed it.
func (s *scene) certificate(words []string) (raw []byte, signed string) {
	name, at, _ := strings.Cut(words[0], "@")
	epoch, signers := uint32(s.number(at)), strings.Split(words[1], ",")
	id := s.blob(name).id()
	if slices.Contains(words, "forged") {
		id[0] ^= 1 // they have signed another blob
	}
	// The signers sign in a committee of their own: the certificate of a quorum names no shards.
	seats := make([]string, len(signers))
	for shard := range traceShards {
		if i := shard % len(signers); seats[i] == "" {
			seats[i] = fmt.Sprintf("%s:%d", signers[i], shard)
		} else {
			seats[i] += fmt.Sprintf(",%d", shard)
		}
	}
	in := epoch
	if slices.Contains(words, "relabelled") {
		in-- // the epoch that they signed
	}
	alone := s.committee(in, seats)
	var confirmations []certs.Confirmation
	for _, signer := range signers {
		m := s.member(signer)
		confirmations = append(confirmations, alone.Sign(m.key, m.id, id, certs.Persistence{}))
	}
	cert, _, err := alone.Aggregate(id, certs.Persistence{}, confirmations)
	s.must(err)
	cert.Blob, cert.Epoch = s.blob(name).id(), epoch
	if com := s.known[epoch]; com != nil {
		for i, signer := range signers {
			index, ok := com.Member(peer.ID(signer))
			if !ok {
				index = len(com.Members()) + i
			}
			cert.Signers[i] = uint16(index)
		}
		slices.Sort(cert.Signers)
		signed = fmt.Sprintf("%s: signed by %d of %d shards of epoch %d", name, cert.Weight(com), traceShards, epoch)
	} else {
		signed = fmt.Sprintf("%s: signed in epoch %d", name, epoch)
	}
	raw = cert.Marshal()
	if slices.Contains(words, "cut") {
		raw = raw[:len(raw)-1]
	}
	return raw, signed
}
