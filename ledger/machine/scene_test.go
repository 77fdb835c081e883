package machine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// scene is a network and the names that a script gave to accounts, objects and blobs.
type scene struct {
	*network
	wallets map[string]wallet
	objects map[string]ledger.ObjectID
	blobs   map[string]blobName            // by name and by object
	names   map[string]string              // by text form
	wrong   map[string]*wrongtest.Encoding // the contradictory ones of blobs
	seen    map[string]bool                // codes, and operations with codes
}

// note what a trace has shown.
func (s *scene) note(raw []byte, r ledger.Result) {
	s.seen[r.Code.String()] = true
	tx, err := ledger.UnmarshalTx(raw)
	if err != nil {
		return
	}
	for i, op := range tx.Ops {
		if r.Code == ledger.CodeOK || r.Op == i {
			s.seen[ledger.OpName(op)+" "+r.Code.String()] = true
		}
	}
}

type blobName struct {
	id        shards.BlobID
	root      [32]byte
	size      uint64
	deletable bool
}

// genesis makes accounts of the arguments whose names are no parameters.
func (s *scene) genesis(t *testing.T, a args) string {
	t.Helper()
	*s = scene{wallets: map[string]wallet{}, objects: map[string]ledger.ObjectID{}, blobs: map[string]blobName{},
		names: map[string]string{},
		wrong: map[string]*wrongtest.Encoding{}, seen: s.seen}
	for i := range testIdentities {
		w := walletOf(testIdentities[i])
		name := fmt.Sprintf("identity-%d", i)
		s.wallets[name], s.names[w.address.String()] = w, name
	}
	s.network = newNetwork(t, func(g *ledger.Genesis) {
		g.EpochDuration = a.duration("epoch", time.Hour)
		g.MaxEpochsAhead = a.epoch("ahead", g.MaxEpochsAhead)
		g.Capacity = a.bytes("capacity", g.Capacity)
		g.StoragePrice = a.amount("storagePrice", g.StoragePrice)
		g.WritePrice = a.amount("writePrice", g.WritePrice)
		g.BurnBasis = a.epoch("burn", g.BurnBasis)
		s.wallet("treasury")
		g.Treasury = s.wallet("treasury").address
		for i := range g.Members {
			g.Members[i].Reward = s.wallet(fmt.Sprintf("node-%d", i)).address
		}
		for _, who := range a.rest() {
			g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: s.wallet(who).address, Amount: a.amount(who, 0)})
		}
	})
	checkState(t, s.network)
	root := s.Tree.Root()
	return fmt.Sprintf("root %x\n", root[:8])
}

// wallet of a name, made if need be.
func (s *scene) wallet(who string) wallet {
	w, ok := s.wallets[who]
	if !ok {
		w = newWallet(who)
		s.wallets[who], s.names[w.address.String()] = w, who
	}
	return w
}

// blob of a name; an unknown one is of no blob.
func (s *scene) blob(name string) shards.BlobID {
	b, ok := s.blobs[name]
	if !ok {
		_, b.id = testBlob(name, 1000)
		s.names[b.id.String()] = name
	}
	return b.id
}

// address of a name; "zero" is the zero address.
func (s *scene) address(who string) ledger.Address {
	if who == "zero" {
		return ledger.Address{}
	}
	return s.wallet(who).address
}

// monitor of a name.
func (s *scene) monitor(name string) ledger.PeerKey {
	key := ledger.PeerKey(publicKey(newWallet(name)))
	s.names[key.String()] = name
	return key
}

// object of a name; an unknown one is of no object.
func (s *scene) object(name string) ledger.ObjectID {
	id, ok := s.objects[name]
	if !ok {
		copy(id[:], "no such object: "+name)
		s.names[id.String()] = name
	}
	return id
}

// inWords puts the script's names in place of addresses and IDs.
func (s *scene) inWords(text string) string {
	var pairs []string
	for form, name := range s.names {
		if name != "" {
			pairs = append(pairs, form, name)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// transaction reads a line like
//
//	alice nonce=3: buy 10MiB 1 4 as=room; register room as=b blob=cat size=1000
//
// The arguments before the colon are what is wrong with it: nonce, expiry (both also +n or -n from what they should
// be), fee (the same), network, by (who signs), cut (bytes off its end).
func (s *scene) transaction(t *testing.T, line string, next map[string]uint64) []byte {
	t.Helper()
	head, rest, ok := strings.Cut(line, ": ")
	if !ok {
		t.Fatalf("transaction %q: want sender: operations", line)
	}
	words := strings.Fields(head)
	who, a := words[0], newArgs(t, words[1:])
	w := s.wallet(who)
	nonce, ok := next[who]
	if !ok {
		account, err := ledger.ReadAccount(s.values, w.address)
		if err != nil {
			t.Fatal(err)
		}
		nonce = account.Nonce
	}
	if next[who] = nonce; len(a.words) == 0 { // else it may have no effect
		next[who]++
	}
	tx := &ledger.Tx{Network: s.Network, Nonce: a.offset("nonce", nonce), Expiry: a.offset("expiry", s.height+1+100)}
	for i, text := range strings.Split(rest, "; ") {
		o := &opArgs{s, ledger.NewObjectID(w.address, tx.Nonce, i), who, newArgs(t, strings.Fields(text))}
		tx.Ops = append(tx.Ops, o.op(t))
		if unused := o.rest(); len(unused) > 0 {
			t.Fatalf("operation %q: what is %q", text, unused)
		}
	}
	if a.has("network") {
		tx.Network = certs.NetworkID{1}
		s.names[tx.Network.String()], s.names[s.Network.String()] = "other", "test"
	}
	params := s.genesisParams()
	tx.Fee = ledger.Amount(a.offset("fee", uint64(params.MinFee(len(tx.Marshal()), tx.Ops))))
	tx.Sign(s.wallet(a.text("by", who)).key)
	tx.Sender = publicKey(w)
	raw := tx.Marshal()
	return raw[:len(raw)-int(a.number("cut", 0))]
}

func (s *scene) genesisParams() *ledger.Params {
	p := s.network.genesis.Params()
	return &p
}

func publicKey(w wallet) (k ledger.PublicKey) {
	copy(k[:], w.key[32:])
	return k
}

// describe is an event in one line.
func (s *scene) describe(e ledger.Event) string {
	b := []byte(e.Kind)
	add := func(name string, v any, present bool) {
		if present {
			b = fmt.Appendf(b, " %s=%v", name, v)
		}
	}
	add("from", e.From, e.From != ledger.Address{})
	add("to", e.To, e.To != ledger.Address{})
	add("amount", uint64(e.Amount), e.Amount != 0)
	add("object", e.Object, e.Object != ledger.ObjectID{})
	add("other", e.Other, e.Other != ledger.ObjectID{})
	add("blob", e.Blob, e.Blob != shards.BlobID{})
	add("size", e.Size, e.Size != 0)
	add("bytes", e.Bytes, e.Bytes != 0)
	add("deletable", e.Deletable, e.Deletable)
	add("epoch", e.Epoch, true)
	add("end", e.End, e.End != 0)
	add("monitor", e.Monitor, e.Monitor != ledger.PeerKey{})
	add("certificate", fmt.Sprintf("%d bytes", len(e.Certificate)), len(e.Certificate) > 0)
	return string(b)
}

// show describes records: of accounts, objects, blobs, or pot=epoch, supply, epoch, bonds.
func (s *scene) show(t *testing.T, a args) string {
	t.Helper()
	var b strings.Builder
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, word := range a.words {
		key, arg, _ := strings.Cut(word, "=")
		id, isObject := s.objects[word]
		blob, isBlob := s.blobs[word]
		_, isWallet := s.wallets[word]
		switch {
		case key == "pot":
			epoch, err := strconv.ParseUint(arg, 10, 32)
			fail(err)
			p, err := ledger.ReadPot(s.values, uint32(epoch))
			fail(err)
			fmt.Fprintf(&b, "pot of epoch %d: rewards %d, sold %d\n", epoch, p.Rewards, p.Sold)
		case key == "supply":
			v, err := ledger.ReadSupply(s.values)
			fail(err)
			fmt.Fprintf(&b, "burned %d\n", v.Burned)
		case key == "bonds":
			all, err := ledger.ReadBonds(s.values)
			fail(err)
			for _, v := range all {
				fmt.Fprintf(&b, "bond of %s: account %s, amount %d, added %d, since %d, until %d, weight %d\n",
					v.Monitor, v.Account, v.Amount, v.Added, v.Since, v.Until, v.Weight(s.epoch(t)))
			}
			if len(all) == 0 {
				b.WriteString("no bonds\n")
			}
		case key == "epoch":
			e, err := ledger.ReadEpoch(s.values)
			fail(err)
			fmt.Fprintf(&b, "epoch %d since %s, leftover %d\n", e.Epoch,
				time.Unix(0, e.Start-s.network.genesis.Time.UnixNano()).UTC().Format("15:04:05"), e.Leftover)
		case isWallet:
			v, err := ledger.ReadAccount(s.values, s.wallet(word).address)
			fail(err)
			fmt.Fprintf(&b, "%s: balance %d, nonce %d, storages %d, blobs %d\n", word, v.Balance, v.Nonce, v.Storages, v.Blobs)
		case isObject:
			if v, err := ledger.ReadStorage(s.values, id); err == nil {
				fmt.Fprintf(&b, "%s: storage of %s, %d bytes, epochs %d to %d\n", word, v.Owner, v.Bytes, v.Start, v.End)
			} else if v, err := ledger.ReadBlob(s.values, id); err == nil {
				fmt.Fprintf(&b, "%s: blob %s of %s, shared %t, funds %d, deletable %t, registered %d, certified %d, epochs %d to %d, %d bytes, attributes %s\n",
					word, v.BlobID, v.Owner, v.Shared, v.Funds, v.Deletable, v.Registered, v.Certified, v.Start, v.End, v.Bytes,
					brief(v.Attributes))
			} else {
				fmt.Fprintf(&b, "%s: none\n", word)
			}
			if o, err := ledger.ReadOffer(s.values, id); err == nil {
				fmt.Fprintf(&b, "%s: offered by %s to %s until %d\n", word, o.From, o.To, o.Until)
			}
		case isBlob:
			v, err := ledger.ReadBlobInfo(s.values, blob.id)
			fail(err)
			fmt.Fprintf(&b, "%s: initially certified %d, permanent until %d, certified until %d, deletable %v\n",
				word, v.InitialCertified, v.PermanentEnd, v.PermanentCertifiedEnd, v.Deletable)
			if v.Invalid {
				why, err := ledger.ReadInvalidBlob(s.values, blob.id)
				fail(err)
				fmt.Fprintf(&b, "%s: invalid since epoch %d, height %d, event %d, proof of %d bytes, certificate of %d bytes\n",
					word, why.Epoch, why.Height, why.Event, len(why.Proof), len(why.Certificate))
			}
		default:
			t.Fatalf("show %q: there is nothing of that name", word)
		}
	}
	s.names[ledger.Address{}.String()] = "nobody"
	return s.inWords(b.String())
}

// brief is attributes without their long values.
func brief(all []ledger.Attribute) string {
	if len(all) == 0 {
		return "none"
	}
	var words []string
	for _, a := range all {
		if len(a.Value) > 100 {
			a.Value = fmt.Sprintf("%d bytes", len(a.Value))
		}
		words = append(words, a.Key+":"+a.Value)
	}
	return strings.Join(words, ",")
}
